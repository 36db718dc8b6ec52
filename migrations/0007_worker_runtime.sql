-- What the worker runtime knows of messages beyond what the broker tells, and the dead-letter desk.
-- Neither table belongs to a tenant: a row names a message, whose tenant may be unknown (it may not
-- even decode), and only workers and operators reach them.

-- The broker counts deliveries, but a stop, a "not yet" and an outage are deliveries too. What really
-- went wrong is counted here. A row exists only for a message that did not succeed at once.
create table delivery_failures (
    handler text not null,
    -- Sequences start again when a stream is made anew: only both together name a message for good. A
    -- redriven message has a sequence of its own, and so starts fresh.
    stream_created_at timestamptz not null,
    stream_sequence bigint not null,
    retries integer not null default 0
        constraint delivery_failures_retries_count check (retries >= 0),
    -- The first time that it was too early: the deadline counts from here.
    waiting_since timestamptz,
    -- The last delivery whose end was recorded. Later deliveries that ended without a trace mean that
    -- the process died.
    explained_through bigint not null default 0,
    -- Runs alone begun since then; written before each, because afterwards may not come.
    alone_runs integer not null default 0
        constraint delivery_failures_alone_runs_count check (alone_runs >= 0),
    updated_at timestamptz not null default now(),
    constraint delivery_failures_pkey primary key (handler, stream_created_at, stream_sequence)
);
create index delivery_failures_oldest on delivery_failures (updated_at);

-- What a handler gave up on, with its reason and everything needed to send it again. No age limit.
create table dead_letters (
    id uuid constraint dead_letters_pkey primary key,
    handler text not null,
    -- Where the message was when it was given up.
    stream text not null,
    stream_created_at timestamptz not null,
    stream_sequence bigint not null,
    class text not null,
    -- For operators; what people read is in the failure fact.
    reason text not null,
    attempts integer not null,
    trace_id text,
    -- The message: its first subject, headers as an object, and body. Absent where it had none.
    subject text not null,
    event_id uuid,
    event_type text,
    session_id uuid,
    redrive integer not null default 0,
    headers jsonb not null,
    data bytea not null,
    died_at timestamptz not null,
    filed_at timestamptz not null default now(),
    redriven_at timestamptz,
    -- Giving up and filing are repeated when an acknowledgement is lost.
    constraint dead_letters_message_unique
        unique (handler, stream, stream_created_at, stream_sequence)
);
create index dead_letters_newest on dead_letters (filed_at desc, id desc);
-- Redrives of an event are counted over all its letters.
create index dead_letters_event on dead_letters (handler, event_id) where event_id is not null;
-- Erasing a session finds its dead letters.
create index dead_letters_session on dead_letters (session_id) where session_id is not null;

alter table delivery_failures enable row level security;
alter table delivery_failures force row level security;
alter table dead_letters enable row level security;
alter table dead_letters force row level security;

create policy delivery_failures_workers on delivery_failures
    to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance
    using (true) with check (true);
create policy dead_letters_desk on dead_letters to aftercall_maintenance
    using (true) with check (true);

grant select, insert, update, delete on delivery_failures
    to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance;
grant select, insert on dead_letters to aftercall_maintenance;
-- A filed letter changes in one way: it is redriven.
grant update (redriven_at, redrive) on dead_letters to aftercall_maintenance;
