use aftercall::ids::{AccountId, RecordingId, SessionId};

use super::*;

fn settings() -> TranscribeJob {
    TranscribeJob {
        call_analytics: false,
        language: None,
        language_options: Vec::new(),
        vocabulary: None,
        redact_pii: false,
        max_speakers: 10,
        agent_channel: 0,
    }
}

fn recording(channels: i32, content_type: &str, size_bytes: i64, duration_ms: i64) -> Recording {
    Recording {
        account_id: AccountId::generate(),
        id: RecordingId::generate(),
        session_id: SessionId::generate(),
        object_key: "recordings/one".to_owned(),
        position: 0,
        file_name: None,
        content_type: content_type.to_owned(),
        size_bytes,
        sha256: vec![0; 32],
        state: "stored".to_owned(),
        run: 1,
        late: false,
        duration_ms: Some(duration_ms),
        channels: Some(channels),
        sample_rate_hz: Some(8_000),
        created_at: "2026-11-21T10:00:00Z".parse().unwrap(),
    }
}

fn call(channels: i32) -> Recording {
    recording(channels, "audio/wav", 1_000_000, 60_000)
}

fn plan(settings: &TranscribeJob, channels: i32) -> Plan {
    Plan::of(settings, &TranscriptionOptions::default(), &call(channels)).expect("a plan")
}

fn request(plan: Plan) -> Request {
    Request {
        kind: plan.kind,
        name: "a-job".to_owned(),
        bucket: "bucket".to_owned(),
        output_key: "a-job.json".to_owned(),
        output_uri: "s3://bucket/a-job.json".to_owned(),
        media_uri: "s3://bucket/recordings/one".to_owned(),
        media_format: Some(MediaFormat::Wav),
        plan,
    }
}

#[test]
fn two_channels_are_told_apart_and_of_one_the_speakers() {
    let stereo = request(plan(&settings(), 2)).settings();
    assert_eq!(stereo.channel_identification, Some(true));
    assert_eq!(stereo.show_speaker_labels, None);
    let mono = request(plan(&settings(), 1)).settings();
    assert_eq!(mono.channel_identification, None);
    assert_eq!(mono.show_speaker_labels, Some(true));
    assert_eq!(mono.max_speaker_labels, Some(10));
    let alone = TranscribeJob {
        max_speakers: 1,
        ..settings()
    };
    let alone = request(plan(&alone, 1)).settings();
    assert_eq!(alone.show_speaker_labels, None);
}

#[test]
fn a_call_needs_two_channels() {
    let calls = TranscribeJob {
        call_analytics: true,
        agent_channel: 1,
        ..settings()
    };
    let two = plan(&calls, 2);
    assert_eq!((two.kind, two.fell_back), (JobKind::CallAnalytics, false));
    let sides = request(two).channel_definitions();
    assert_eq!(sides[0].participant_role, Some(ParticipantRole::Customer));
    assert_eq!(sides[1].participant_role, Some(ParticipantRole::Agent));
    for channels in [1, 3] {
        let other = plan(&calls, channels);
        assert_eq!((other.kind, other.fell_back), (JobKind::Standard, true));
        assert_eq!(other.channels, 1);
    }
}

#[test]
fn a_language_is_fixed_or_found_out() {
    let found = request(plan(&settings(), 1));
    assert_eq!(found.identifies_language(), Some(true));
    assert_eq!(
        (found.language_code(), found.language_options()),
        (None, None)
    );
    let chosen = TranscribeJob {
        language_options: vec!["en-US".to_owned(), "de-DE".to_owned()],
        ..settings()
    };
    let options = request(plan(&chosen, 1)).language_options();
    assert_eq!(options, Some(vec![LanguageCode::EnUs, LanguageCode::DeDe]));
    let fixed = TranscribeJob {
        language: Some("de-DE".to_owned()),
        ..chosen
    };
    let fixed = request(plan(&fixed, 2));
    assert_eq!(fixed.language_code(), Some(LanguageCode::DeDe));
    assert_eq!(
        (fixed.identifies_language(), fixed.language_options()),
        (None, None)
    );
    let of_a_call = fixed.call_analytics_settings().language_options;
    assert_eq!(of_a_call, Some(vec![LanguageCode::DeDe]));
}

#[test]
fn a_request_comes_before_the_settings() {
    let settings = TranscribeJob {
        language: Some("en-US".to_owned()),
        vocabulary: Some("clinic".to_owned()),
        ..settings()
    };
    let asked = TranscriptionOptions {
        language: Some("de-DE".to_owned()),
        redact_pii: Some(true),
        max_speakers: Some(2),
        ..TranscriptionOptions::default()
    };
    let plan = Plan::of(&settings, &asked, &call(1)).unwrap();
    assert_eq!(plan.job.vocabulary, None, "it belongs to another language");
    let request = request(plan);
    assert_eq!(request.settings().max_speaker_labels, Some(2));
    let redaction = request.redaction().expect("a redaction");
    assert_eq!(redaction.redaction_output, RedactionOutput::Redacted);
    let homeless = TranscriptionOptions {
        vocabulary: Some("clinic".to_owned()),
        ..TranscriptionOptions::default()
    };
    assert_eq!(
        Plan::of(&super::tests::settings(), &homeless, &call(1)),
        None
    );
}

#[test]
fn names_tell_runs_and_settings_apart_and_nothing_else() {
    let event = TranscriptionRequested {
        session_id: SessionId::generate(),
        recording_id: RecordingId::generate(),
        generation: 1,
        run: 1,
    };
    let name = |settings: &TranscribeJob, event: &TranscriptionRequested, redrive| {
        plan(settings, 2).base_name(event, redrive)
    };
    let first = name(&settings(), &event, 0);
    assert_eq!(first, name(&settings(), &event, 0));
    assert!(first.len() < 100, "{first}");
    let allowed = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    assert!(first.chars().all(allowed), "{first}");
    let redacting = TranscribeJob {
        redact_pii: true,
        ..settings()
    };
    let analysed = TranscribeJob {
        call_analytics: true,
        ..settings()
    };
    let next_run = TranscriptionRequested {
        run: 2,
        ..event.clone()
    };
    for other in [
        name(&redacting, &event, 0),
        name(&analysed, &event, 0),
        name(&settings(), &next_run, 0),
        name(&settings(), &event, 1),
    ] {
        assert_ne!(first, other);
    }
}

#[test]
fn what_is_over_the_limits_is_not_taken_as_it_is() {
    let limits = Limits::SERVICE;
    let hour = 3_600_000;
    let standard = plan(&settings(), 2);
    assert!(standard.takes(&recording(2, "audio/wav", 2_000_000_000, 4 * hour), &limits));
    let analysed = TranscribeJob {
        call_analytics: true,
        ..settings()
    };
    let analysed = plan(&analysed, 2);
    assert!(analysed.takes(&recording(2, "audio/wav", 500_000_000, hour), &limits));
    let at = |sample_rate_hz| Recording {
        sample_rate_hz: Some(sample_rate_hz),
        ..call(2)
    };
    assert!(standard.takes(&at(48_000), &limits));
    for (plan, recording) in [
        (&standard, at(7_999)),
        (&standard, at(96_000)),
        (&standard, recording(2, "audio/wav", 2_000_000_001, hour)),
        (&standard, recording(2, "audio/wav", 1, 4 * hour + 1)),
        (&standard, recording(2, "audio/wav", 1, 499)),
        (&standard, recording(2, "audio/matroska", 1, hour)),
        (&standard, recording(3, "audio/wav", 1, hour)),
        (&analysed, recording(2, "audio/wav", 500_000_001, hour)),
    ] {
        assert!(!plan.takes(&recording, &limits), "{recording:?}");
    }
}
