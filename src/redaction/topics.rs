//! What a text is about where a number stands: the words before it that say so.
//!
//! Somebody asks for a date of birth in one turn and hears it in the next, so what was said last is
//! carried from one text into the next.

use super::tokens::{Sort, Text};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Phone,
    Account,
    Card,
    Birth,
    Email,
    Postcode,
    /// A number that identifies a thing: an order, a ticket.
    Thing,
}

const TOPICS: usize = 7;

/// Words that carry over from one text into the next at most.
const MAX_CARRIED: usize = 40;

/// Where each topic is named.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Words up to each token.
    words: Vec<usize>,
    /// Tokens that name a topic.
    named: [Vec<usize>; TOPICS],
    carried: Carried,
}

/// How many words ago each topic was named when a text began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried([Option<usize>; TOPICS]);

impl Topics {
    pub fn of(text: &Text<'_>, carried: Carried) -> Self {
        let mut topics = Self {
            words: Vec::with_capacity(text.tokens.len()),
            named: Default::default(),
            carried,
        };
        let mut count = 0;
        for (index, token) in text.tokens.iter().enumerate() {
            topics.words.push(count);
            if token.sort != Sort::Mark {
                count += 1;
            }
            if let Some(topic) = named_at(text, index) {
                topics.named[topic as usize].push(index);
            }
        }
        topics
    }

    /// What the next text begins with.
    pub fn carry(&self) -> Carried {
        let end = self.words.len();
        let mut carried = Carried::default();
        for (slot, topic) in carried.0.iter_mut().zip(Topic::ALL) {
            *slot = self.distance(end, topic).filter(|it| *it <= MAX_CARRIED);
        }
        carried
    }

    /// Whether `topic` was named at most `within` words before a token.
    pub fn is_near(&self, token: usize, topic: Topic, within: usize) -> bool {
        self.distance(token, topic).is_some_and(|it| it <= within)
    }

    /// Whether `topic` is named at most `within` words after a token: `May 3rd is my birthday`.
    pub fn is_ahead(&self, token: usize, topic: Topic, within: usize) -> bool {
        let named = &self.named[topic as usize];
        let next = named.get(named.partition_point(|it| *it <= token));
        next.is_some_and(|next| self.words[*next] - self.words[token] <= within)
    }

    /// Whether, of all that says what a number is, `topic` was named last, and near.
    pub fn is_about(&self, token: usize, topic: Topic, within: usize) -> bool {
        let Some(distance) = self.distance(token, topic).filter(|it| *it <= within) else {
            return false;
        };
        let others = [Topic::Phone, Topic::Account, Topic::Card, Topic::Thing].into_iter();
        let mut others = others.filter(|other| *other != topic);
        others.all(|other| self.distance(token, other).is_none_or(|it| it > distance))
    }

    /// Words between a token and the last naming of a topic before it.
    fn distance(&self, token: usize, topic: Topic) -> Option<usize> {
        let total = self.words.last().map_or(0, |last| last + 1);
        let here = self.words.get(token).copied().unwrap_or(total);
        let named = &self.named[topic as usize];
        let before = named.partition_point(|it| *it < token);
        match before.checked_sub(1) {
            Some(last) => Some(here - self.words[named[last]]),
            None => self.carried.0[topic as usize].map(|carried| carried + here),
        }
    }
}

impl Topic {
    const ALL: [Self; TOPICS] = [
        Self::Phone,
        Self::Account,
        Self::Card,
        Self::Birth,
        Self::Email,
        Self::Postcode,
        Self::Thing,
    ];
}

fn named_at(text: &Text<'_>, at: usize) -> Option<Topic> {
    let next = text.word(at + 1).unwrap_or_default();
    let before = at
        .checked_sub(1)
        .and_then(|it| text.word(it))
        .unwrap_or_default();
    match text.word(at)? {
        "phone" | "telephone" | "mobile" | "cell" | "cellphone" | "landline" | "whatsapp"
        | "call" | "dial" | "ring" | "text" | "fax" | "reach" | "callback" => Some(Topic::Phone),
        "number" if matches!(before, "my" | "his" | "her" | "your" | "their" | "our") => {
            Some(Topic::Phone)
        }
        "account" | "acct" | "bank" | "iban" | "routing" => Some(Topic::Account),
        "sort" if next == "code" => Some(Topic::Account),
        "card" | "visa" | "mastercard" | "amex" | "debit" => Some(Topic::Card),
        "born" | "birthday" | "birthdate" | "birth" | "dob" => Some(Topic::Birth),
        "d" if is_dob(text, at) => Some(Topic::Birth),
        "email" | "emails" | "mail" => Some(Topic::Email),
        "postcode" | "zip" | "zipcode" => Some(Topic::Postcode),
        "postal" if next == "code" => Some(Topic::Postcode),
        "order" | "invoice" | "ticket" | "reference" | "tracking" | "confirmation" | "booking"
        | "case" | "policy" | "claim" | "model" | "serial" | "part" | "product" | "version"
        | "parcel" => {
            let names_number = matches!(next, "number" | "no" | "id" | "code" | "reference");
            let is_thing =
                names_number || text.digits(at + 1).is_some() || text.is_mark(at + 1, "#");
            is_thing.then_some(Topic::Thing)
        }
        _ => None,
    }
}

/// `d.o.b.`
fn is_dob(text: &Text<'_>, at: usize) -> bool {
    text.is_mark(at + 1, ".")
        && text.word(at + 2) == Some("o")
        && text.is_mark(at + 3, ".")
        && text.word(at + 4) == Some("b")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_named_counts_and_goes_over_into_the_next_text() {
        let text = Text::of("In case: my number and order number 77, d.o.b. 3");
        let topics = Topics::of(&text, Carried::default());
        let at = |word: &str| text.tokens.iter().position(|it| it.folded == word).unwrap();
        assert!(topics.is_about(at("77"), Topic::Thing, 3));
        assert!(!topics.is_about(at("77"), Topic::Phone, 9));
        assert!(topics.is_near(at("77"), Topic::Phone, 9));
        assert!(topics.is_near(at("3"), Topic::Birth, 3));
        let next = Text::of("It is 1984");
        let carried = Topics::of(&next, topics.carry());
        assert!(carried.is_near(2, Topic::Birth, 6));
        assert!(!carried.is_near(2, Topic::Birth, 3));
        assert!(!Topics::of(&next, Carried::default()).is_near(2, Topic::Birth, 99));
        let empty = Topics::of(&Text::of(""), topics.carry());
        assert!(Topics::of(&next, empty.carry()).is_near(2, Topic::Birth, 7));
    }
}
