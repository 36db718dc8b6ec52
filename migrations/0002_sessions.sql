-- Sessions and their timeline.

create table sessions (
    account_id uuid not null constraint sessions_account_fkey references accounts (id),
    id uuid not null,
    owner_id uuid not null constraint sessions_owner_fkey references users (id),
    title text,
    notes text,
    metadata jsonb not null default '{}',
    -- Computed from the facts in session_events, in the transaction that records one (src/session.rs).
    status text not null default 'created' constraint sessions_status_known check (status in
        ('created', 'active', 'ended', 'recorded', 'transcribed', 'analyzed', 'completed', 'failed')),
    stages jsonb not null,
    -- The newest entry of the timeline; its row lock gives each fact its place.
    last_seq bigint not null default 0,
    -- The newest generation that was asked for.
    transcript_generation integer not null default 0,
    analysis_generation integer not null default 0,
    auto_transcribe boolean not null default true,
    auto_analyze boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz,
    expires_at timestamptz,
    constraint sessions_pkey primary key (account_id, id)
);
-- Lists are newest first and always of one owner; workers know a session by its id alone.
create index sessions_by_owner on sessions (account_id, owner_id, created_at desc, id desc);
create index sessions_by_id on sessions (id);

-- The timeline: one row a fact, in the order in which facts were recorded.
create table session_events (
    account_id uuid not null,
    session_id uuid not null,
    seq bigint not null,
    event_id uuid not null,
    type text not null,
    version smallint not null,
    at timestamptz not null default clock_timestamp(),
    data jsonb not null,
    constraint session_events_pkey primary key (account_id, session_id, seq),
    -- A fact is recorded once, however often it is delivered.
    constraint session_events_event_unique unique (account_id, session_id, event_id),
    constraint session_events_session_fkey foreign key (account_id, session_id)
        references sessions (account_id, id) on delete cascade
);

alter table sessions enable row level security;
alter table sessions force row level security;
alter table session_events enable row level security;
alter table session_events force row level security;

-- Who sees a session, written once: what hangs on a session asks for the session.
create policy sessions_visible on sessions to aftercall_api
    using (account_id = (select app_account()) and owner_id = (select app_user()))
    with check (account_id = (select app_account()) and owner_id = (select app_user()));
create policy session_events_visible on session_events to aftercall_api
    using (account_id = (select app_account())
        and exists (select from sessions s where s.account_id = session_events.account_id and s.id = session_id));

create policy sessions_workers on sessions
    to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance
    using (true) with check (true);
create policy session_events_workers on session_events
    to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance
    using (true) with check (true);

grant select, insert on sessions to aftercall_api;
grant update (title, notes, metadata, started_at, ended_at, status, stages, last_seq,
    transcript_generation, analysis_generation, updated_at) on sessions to aftercall_api;
grant select, insert on session_events to aftercall_api;

-- Workers record facts: they read the session, lock it, and write what follows from the facts.
grant select (account_id, id, last_seq, transcript_generation, analysis_generation, auto_transcribe, auto_analyze)
    on sessions to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance;
grant update (status, stages, last_seq, transcript_generation, analysis_generation, updated_at)
    on sessions to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance;
grant select, insert on session_events
    to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance;
