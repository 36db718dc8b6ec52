-- Transcripts: one run of the engine a recording and generation, and the session's own, made of them.

create table transcriptions (
    account_id uuid not null,
    recording_id uuid not null,
    generation integer not null,
    session_id uuid not null,
    run integer not null default 1,
    state text not null default 'requested'
        constraint transcriptions_state_known check (state in ('requested', 'done', 'failed')),
    language text,
    engine text,
    note text,
    turns jsonb,
    requested_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint transcriptions_pkey primary key (account_id, recording_id, generation),
    constraint transcriptions_recording_fkey foreign key (account_id, recording_id)
        references recordings (account_id, id) on delete cascade,
    constraint transcriptions_done_has_turns check (state <> 'done' or turns is not null)
);
create index transcriptions_by_session on transcriptions (account_id, session_id, generation);
create index transcriptions_waiting on transcriptions (updated_at) where state = 'requested';

-- What the engine answered for one chunk of speech: a worker that starts again asks only for the rest.
create table transcription_chunks (
    account_id uuid not null,
    recording_id uuid not null,
    generation integer not null,
    channel smallint not null,
    index integer not null,
    -- The audio that was sent, from the start of the recording.
    start_ms bigint not null,
    end_ms bigint not null,
    -- The speech in it, without the margins.
    speech_start_ms bigint not null,
    speech_end_ms bigint not null,
    text text not null,
    language text,
    confidence double precision,
    no_speech_probability double precision,
    words jsonb,
    created_at timestamptz not null default now(),
    constraint transcription_chunks_pkey primary key (account_id, recording_id, generation, channel, index),
    constraint transcription_chunks_transcription_fkey foreign key (account_id, recording_id, generation)
        references transcriptions (account_id, recording_id, generation) on delete cascade
);

-- A generation of the session's transcript; never changed.
create table transcripts (
    account_id uuid not null,
    session_id uuid not null,
    generation integer not null,
    language text,
    engine text not null,
    duration_ms bigint not null,
    note text,
    turns jsonb not null,
    created_at timestamptz not null default now(),
    constraint transcripts_pkey primary key (account_id, session_id, generation),
    constraint transcripts_session_fkey foreign key (account_id, session_id)
        references sessions (account_id, id) on delete cascade
);

alter table transcriptions enable row level security;
alter table transcriptions force row level security;
alter table transcription_chunks enable row level security;
alter table transcription_chunks force row level security;
alter table transcripts enable row level security;
alter table transcripts force row level security;

create policy transcriptions_visible on transcriptions to aftercall_api
    using (account_id = (select app_account())
        and exists (select from sessions s where s.account_id = transcriptions.account_id and s.id = session_id));
create policy transcriptions_workers on transcriptions
    to aftercall_storage, aftercall_transcription, aftercall_maintenance using (true) with check (true);
create policy transcription_chunks_worker on transcription_chunks
    to aftercall_transcription using (true) with check (true);
create policy transcripts_visible on transcripts to aftercall_api
    using (account_id = (select app_account())
        and exists (select from sessions s where s.account_id = transcripts.account_id and s.id = session_id));
create policy transcripts_workers on transcripts
    to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance
    using (true) with check (true);

-- The ingress asks for a transcription, the storage worker for the first of a recording.
grant insert on transcriptions to aftercall_api, aftercall_storage;
grant select on transcriptions
    to aftercall_api, aftercall_storage, aftercall_transcription, aftercall_maintenance;
grant update (run, state, updated_at) on transcriptions to aftercall_api, aftercall_maintenance;
grant update (state, language, engine, note, turns, updated_at) on transcriptions to aftercall_transcription;
grant select, insert on transcription_chunks to aftercall_transcription;
grant select on transcripts
    to aftercall_api, aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance;
grant insert on transcripts to aftercall_transcription;
