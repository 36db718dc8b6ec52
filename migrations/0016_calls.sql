-- Calls, what is counted of them, and what remains of those that were erased.
--
-- This is the hot path: one worker transaction inserts hundreds of calls and folds them into rollups.

-- What a call of this client becomes beside a row: a session whose recording is fetched, or whose text
-- is analysed.
alter table clients add column fetch_recordings boolean not null default false;
alter table clients add column analyze_calls boolean not null default false;
grant update (fetch_recordings, analyze_calls) on clients to aftercall_api;

create table calls (
    account_id uuid not null,
    -- No foreign keys: each insert would lock the row of its client, and all calls of a client would
    -- queue there. The fold looks clients up, set-based, and refuses calls of those that are gone.
    client_id uuid not null,
    -- The agent's or ours; unique within the client only. `(account_id, id)` is a prefix, so that a
    -- call is found by its id alone.
    id uuid not null,
    -- Where the call counts: started_at, else ended_at, else when it was received.
    counted_at timestamptz not null,
    received_at timestamptz not null,
    direction text constraint calls_direction_known check (direction in ('inbound', 'outbound', 'web')),
    duration_ms bigint constraint calls_duration_positive check (duration_ms >= 0),
    success boolean,
    ended_reason text constraint calls_ended_reason_known check (ended_reason in
        ('caller_hangup', 'agent_hangup', 'transferred', 'voicemail', 'no_answer', 'busy', 'timeout', 'error',
            'other')),
    sentiment text not null constraint calls_sentiment_known check (sentiment in
        ('positive', 'neutral', 'negative', 'mixed', 'unknown')),
    -- Who found it: the agent that sent the call, the lexicon, or the analysis of its session. Null: nobody.
    sentiment_by text constraint calls_sentiment_by_known check (sentiment_by in ('agent', 'lexicon', 'analysis')),
    -- Milliseconds; the call's own, else the mean of its turns. The total needs all three and is their sum.
    stt_ms double precision,
    llm_ms double precision,
    tts_ms double precision,
    -- The client was inactive when the call arrived.
    client_inactive boolean not null,
    -- The session that the client's settings made of it.
    session_id uuid,
    -- The call as its agent sent it, JSON. Text, because it is never queried by its fields, and reading
    -- it as jsonb would cost as much as the rest of the row. Null once retention has blanked it.
    record text,
    -- Every message of the stream CALLS that carried this call, for erasure; sequences start again in a
    -- new stream of the same name.
    stream_created_at timestamptz not null,
    stream_sequences bigint[] not null,
    constraint calls_pkey primary key (account_id, id, client_id)
);
-- Rows up to a page stay whole: compressing a transcript of 2 KB costs more than it saves.
alter table calls set (toast_tuple_target = 8160);
-- Lists, rebuilds and retention walk the calls of a client by time.
create index calls_by_client on calls (account_id, client_id, counted_at desc, id desc);

-- The same id came with another body: the first stands, later ones are kept here.
create table call_conflicts (
    account_id uuid not null,
    call_id uuid not null,
    client_id uuid not null,
    record_sha256 bytea not null constraint call_conflicts_hash_length check (length(record_sha256) = 32),
    received_at timestamptz not null,
    record text,
    stream_created_at timestamptz not null,
    stream_sequences bigint[] not null,
    constraint call_conflicts_pkey primary key (account_id, call_id, client_id, record_sha256)
);

-- Counts per client and quarter of an hour in UTC, from which any time zone and the busiest hours come.
create table call_rollups (
    account_id uuid not null,
    client_id uuid not null,
    quarter timestamptz not null,
    calls bigint not null,
    succeeded bigint not null,
    failed bigint not null,
    -- Calls whose duration is known, and their sum.
    timed bigint not null,
    duration_ms bigint not null,
    positive bigint not null,
    neutral bigint not null,
    negative bigint not null,
    mixed bigint not null,
    unknown bigint not null,
    caller_hangup bigint not null,
    agent_hangup bigint not null,
    transferred bigint not null,
    voicemail bigint not null,
    no_answer bigint not null,
    busy bigint not null,
    timeout bigint not null,
    error bigint not null,
    other bigint not null,
    constraint call_rollups_pkey primary key (account_id, client_id, quarter)
) with (fillfactor = 50);

-- Latencies per client and hour in UTC, as sketches of fixed logarithmic buckets (src/rollups/sketch.rs).
create table call_latencies (
    account_id uuid not null,
    client_id uuid not null,
    hour timestamptz not null,
    stt bytea not null,
    llm bytea not null,
    tts bytea not null,
    total bytea not null,
    constraint call_latencies_pkey primary key (account_id, client_id, hour)
) with (fillfactor = 50);

-- Erased calls, so that one that comes late, or again, stays dead. Ids only.
create table erased_calls (
    account_id uuid not null,
    call_id uuid not null,
    client_id uuid not null,
    erased_at timestamptz not null default clock_timestamp(),
    constraint erased_calls_pkey primary key (account_id, call_id, client_id)
);
-- An erased client: hidden from all but maintenance from this moment on, and its calls with it.
alter table clients add column erased_at timestamptz;

alter table calls enable row level security;
alter table calls force row level security;
alter table call_conflicts enable row level security;
alter table call_conflicts force row level security;
alter table call_rollups enable row level security;
alter table call_rollups force row level security;
alter table call_latencies enable row level security;
alter table call_latencies force row level security;
alter table erased_calls enable row level security;
alter table erased_calls force row level security;

-- Customers, clients, calls and rollups of an account are the account's; a key that is bound to a client
-- sees that one's.
create policy calls_visible on calls for select to aftercall_api
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts())));
create policy call_conflicts_visible on call_conflicts for select to aftercall_api
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts())));
create policy call_rollups_visible on call_rollups for select to aftercall_api
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts())));
create policy call_latencies_visible on call_latencies for select to aftercall_api
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts())));
alter policy clients_visible on clients
    using (erased_at is null and (app_client() is null or id = app_client())
        and (app_everywhere() or account_id = any (app_accounts())));
alter policy clients_change on clients
    using (erased_at is null and app_client() is null and (app_everywhere() or account_id = any (app_accounts())))
    with check (erased_at is null and app_client() is null and (app_everywhere() or account_id = any (app_accounts())));
grant select on calls, call_conflicts, call_rollups, call_latencies to aftercall_api;

-- The analytics worker writes them; maintenance erases, keeps to the days of a policy, and rebuilds as the
-- owner does.
create policy calls_workers on calls to aftercall_analytics, aftercall_maintenance, aftercall_owner
    using (true) with check (true);
create policy call_conflicts_workers on call_conflicts to aftercall_analytics, aftercall_maintenance, aftercall_owner
    using (true) with check (true);
create policy call_rollups_workers on call_rollups to aftercall_analytics, aftercall_maintenance, aftercall_owner
    using (true) with check (true);
create policy call_latencies_workers on call_latencies to aftercall_analytics, aftercall_maintenance, aftercall_owner
    using (true) with check (true);
create policy erased_calls_workers on erased_calls to aftercall_analytics, aftercall_maintenance, aftercall_owner
    using (true) with check (true);
create policy clients_workers on clients for select to aftercall_analytics, aftercall_maintenance using (true);
create policy delivery_failures_analytics on delivery_failures to aftercall_analytics using (true) with check (true);

grant select, insert, update on calls, call_conflicts to aftercall_analytics;
grant select, insert, update, delete on call_rollups, call_latencies to aftercall_analytics, aftercall_maintenance;
grant select, update, delete on calls, call_conflicts to aftercall_maintenance;
grant select on erased_calls to aftercall_analytics;
grant select, insert on erased_calls to aftercall_maintenance;
grant select (account_id, id, is_active, erased_at, fetch_recordings, analyze_calls) on clients to aftercall_analytics;
grant select on clients to aftercall_maintenance;
grant select, insert, update, delete on delivery_failures to aftercall_analytics;

-- A record of a frame is given up alone, and named by its line; 0 is a message as a whole.
alter table dead_letters add column line integer not null default 0
    constraint dead_letters_line_count check (line >= 0);
alter table dead_letters drop constraint dead_letters_message_unique;
alter table dead_letters add constraint dead_letters_message_unique
    unique (handler, stream, stream_created_at, stream_sequence, line);
