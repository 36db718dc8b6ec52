//! Extractive summary: the sentences that TextRank (Mihalcea and Tarau, EMNLP 2004) ranks first.
//!
//! The graph joins every pair of sentences, so its size is capped: at most [`MAX_NODES`] sentences
//! enter it. Of more, each of [`STRETCHES`] stretches of the conversation with equally many
//! sentences sends those whose words are the most common in the conversation, so that its end
//! counts as much as its start.

use std::collections::{BTreeSet, HashMap};

use aftercall::documents::analysis::{Reason, Statement};
use rust_stemmers::{Algorithm, Stemmer};

use super::stop_words::is_stop_word;
use super::text::Sentence;

pub const METHOD: &str = "textrank";

const MAX_NODES: usize = 400;
const STRETCHES: usize = 50;
/// Sentences with fewer subject words say too little to stand alone.
const MIN_STEMS: usize = 3;
/// The summary holds one in six candidates, within these bounds.
const CANDIDATES_PER_SENTENCE: usize = 6;
const MIN_SENTENCES: usize = 3;
const MAX_SENTENCES: usize = 8;
/// A sentence that shares this much of its words with a chosen one repeats it (Jaccard).
const REPEATS_FROM: f64 = 0.6;

/// Openings of greetings, thanks and farewells, which say nothing of the matter.
const COURTESIES: &[&str] = &[
    "bye", "good", "goodbye", "hello", "hey", "hi", "sorry", "thank", "thanks", "welcome", "you're",
];

const DAMPING: f64 = 0.85;
const MAX_ROUNDS: usize = 60;
const SETTLED_BELOW: f64 = 1e-6;

/// The sentences that stand for the conversation, in its order.
pub fn summarize(sentences: &[Sentence<'_>]) -> Result<Vec<Statement>, Reason> {
    let candidates = candidates(sentences);
    if candidates.is_empty() {
        return Err(Reason::TooLittleText);
    }
    let wanted = (candidates.len() / CANDIDATES_PER_SENTENCE).clamp(MIN_SENTENCES, MAX_SENTENCES);
    let nodes = thin_out(candidates);
    let ranks = rank(&nodes);
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]).then(a.cmp(&b)));

    let mut chosen: Vec<usize> = Vec::with_capacity(wanted);
    for node in order {
        if chosen.len() == wanted {
            break;
        }
        if chosen
            .iter()
            .all(|&other| jaccard(&nodes[node], &nodes[other]) < REPEATS_FROM)
        {
            chosen.push(node);
        }
    }
    chosen.sort_unstable();
    Ok(chosen
        .into_iter()
        .map(|node| {
            let quote = sentences[nodes[node].sentence].quote();
            Statement {
                text: quote.text.clone(),
                quotes: vec![quote],
            }
        })
        .collect())
}

/// A sentence as the set of its subject words.
struct Node {
    /// Position among all sentences.
    sentence: usize,
    /// Sorted numbers of its stems.
    stems: Vec<usize>,
    /// How common its words are in the conversation, on average.
    weight: f64,
}

/// The sentences with enough subject words; questions are left out (an answer says more), and so
/// are courtesies.
fn candidates(sentences: &[Sentence<'_>]) -> Vec<Node> {
    let stemmer = Stemmer::create(Algorithm::English);
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut found_in: Vec<u32> = Vec::new();
    let mut nodes = Vec::new();
    for (position, sentence) in sentences.iter().enumerate() {
        if sentence.ends_with_question_mark() {
            continue;
        }
        let words = sentence.words();
        let stems: BTreeSet<usize> = words
            .iter()
            .filter(|word| !is_stop_word(&word.lower))
            .map(|word| {
                let next = numbers.len();
                *numbers
                    .entry(stemmer.stem(&word.lower).into_owned())
                    .or_insert(next)
            })
            .collect();
        found_in.resize(numbers.len(), 0);
        for &stem in &stems {
            found_in[stem] += 1;
        }
        let courtesy = words
            .first()
            .is_some_and(|word| COURTESIES.contains(&word.lower.as_str()));
        if stems.len() >= MIN_STEMS && !courtesy {
            nodes.push(Node {
                sentence: position,
                stems: stems.into_iter().collect(),
                weight: 0.0,
            });
        }
    }
    for node in &mut nodes {
        let common: f64 = node
            .stems
            .iter()
            .map(|&stem| f64::from(found_in[stem]))
            .sum();
        node.weight = common / as_f64(node.stems.len());
    }
    nodes
}

/// At most [`MAX_NODES`] candidates, spread over the conversation.
fn thin_out(candidates: Vec<Node>) -> Vec<Node> {
    if candidates.len() <= MAX_NODES {
        return candidates;
    }
    let per_stretch = candidates.len().div_ceil(STRETCHES);
    let mut kept = Vec::with_capacity(MAX_NODES);
    let mut rest = candidates.into_iter().peekable();
    while rest.peek().is_some() {
        let mut stretch: Vec<Node> = rest.by_ref().take(per_stretch).collect();
        stretch.sort_by(|a, b| {
            b.weight
                .total_cmp(&a.weight)
                .then(a.sentence.cmp(&b.sentence))
        });
        stretch.truncate(MAX_NODES / STRETCHES);
        kept.append(&mut stretch);
    }
    kept.sort_unstable_by_key(|node| node.sentence);
    kept
}

/// `PageRank` over the graph of sentences that share words.
fn rank(nodes: &[Node]) -> Vec<f64> {
    let mut edges: Vec<Vec<(usize, f64)>> = vec![Vec::new(); nodes.len()];
    for (a, node) in nodes.iter().enumerate() {
        for (b, other) in nodes.iter().enumerate().skip(a + 1) {
            let shared = shared(node, other);
            if shared > 0 {
                let lengths = as_f64(node.stems.len()).ln() + as_f64(other.stems.len()).ln();
                let weight = as_f64(shared) / lengths;
                edges[a].push((b, weight));
                edges[b].push((a, weight));
            }
        }
    }
    let strength: Vec<f64> = edges
        .iter()
        .map(|edges| edges.iter().map(|(_, weight)| weight).sum())
        .collect();
    let mut ranks = vec![1.0; nodes.len()];
    for _ in 0..MAX_ROUNDS {
        let next: Vec<f64> = edges
            .iter()
            .map(|edges| {
                let received: f64 = edges
                    .iter()
                    .map(|&(from, weight)| ranks[from] * weight / strength[from])
                    .sum();
                (1.0 - DAMPING) + DAMPING * received
            })
            .collect();
        let change = ranks
            .iter()
            .zip(&next)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        ranks = next;
        if change < SETTLED_BELOW {
            break;
        }
    }
    ranks
}

fn jaccard(a: &Node, b: &Node) -> f64 {
    let shared = shared(a, b);
    as_f64(shared) / as_f64(a.stems.len() + b.stems.len() - shared)
}

/// How many stems two sorted sets share.
fn shared(a: &Node, b: &Node) -> usize {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while let (Some(x), Some(y)) = (a.stems.get(i), b.stems.get(j)) {
        shared += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    shared
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of words are far below 2^52"
)]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use aftercall::documents::analysis::Reason;

    use super::{MAX_NODES, MAX_SENTENCES, candidates, summarize, thin_out};
    use crate::local::tests::{transcript, turn};
    use crate::local::text::sentences;

    #[test]
    fn the_subject_is_kept_and_small_talk_is_not() {
        let call = transcript(&[
            ("speaker_0", 0, 1, "Good morning, how are you doing?"),
            (
                "speaker_1",
                1,
                2,
                "The kitchen boiler lost its pressure again last night.",
            ),
            (
                "speaker_0",
                2,
                3,
                "A boiler that loses pressure usually has a leaking valve.",
            ),
            (
                "speaker_1",
                3,
                4,
                "The valve on that boiler was replaced in March.",
            ),
            ("speaker_0", 4, 5, "We once had a lovely dog named Biscuit."),
            (
                "speaker_0",
                5,
                6,
                "An engineer will check the boiler valve and the pressure on Monday.",
            ),
            ("speaker_1", 6, 7, "Thank you so much, bye."),
        ]);
        let summary = summarize(&sentences(&call.turns)).expect("a summary");
        let turns: Vec<_> = summary.iter().map(|s| s.quotes[0].turn_index).collect();
        assert_eq!(turns.len(), 3);
        assert!(turns.is_sorted() && turns.contains(&5), "{turns:?}");
        assert!(!turns.contains(&4) && !turns.contains(&6), "{turns:?}");
        assert!(summary.iter().all(|s| s.text == s.quotes[0].text));
    }

    #[test]
    fn repeats_are_told_once_and_too_little_is_nothing() {
        let again = "Your parcel waits at the north depot.";
        let call = transcript(&[("a", 0, 1, again), ("b", 1, 2, again), ("a", 2, 3, again)]);
        assert_eq!(
            summarize(&sentences(&call.turns)).expect("a summary").len(),
            1
        );
        let call = transcript(&[("a", 0, 1, "Hello?"), ("b", 1, 2, "Wrong number.")]);
        assert_eq!(
            summarize(&sentences(&call.turns)),
            Err(Reason::TooLittleText)
        );
    }

    #[test]
    fn the_graph_is_capped_and_reaches_from_start_to_end() {
        let turns: Vec<_> = (0..5_000_u32)
            .map(|i| {
                let text = format!("Parcel number{i} left depot{} in truck{}.", i % 7, i % 11);
                turn(i, "speaker_0", i64::from(i), i64::from(i) + 1, &text)
            })
            .collect();
        let sentences = sentences(&turns);
        let nodes = thin_out(candidates(&sentences));
        assert!(nodes.len() <= MAX_NODES);
        assert!(nodes.first().expect("nodes").sentence < 100);
        assert!(nodes.last().expect("nodes").sentence >= 4_900);
        assert!(summarize(&sentences).expect("a summary").len() <= MAX_SENTENCES);
    }
}
