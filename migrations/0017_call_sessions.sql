-- Calls that become sessions, recordings that are fetched for them, and what an analysis adjusts.

-- The call that a session was made of. Not a reference: the row of the call may go before the session.
alter table sessions add column client_id uuid;
alter table sessions add column call_id uuid;
alter table sessions add constraint sessions_call_has_client check ((call_id is null) = (client_id is null));
create index sessions_by_call on sessions (account_id, client_id, call_id) where call_id is not null;

-- Whether the analysis of the session judged it. Null: the agent did, or nobody.
alter table calls add column success_by text constraint calls_success_by_known check (success_by = 'analysis');

-- Recordings that are to be fetched from an address that an agent gave. What is fetched becomes an upload
-- and then a recording of the same id, as if somebody had sent it.
create table recording_fetches (
    account_id uuid not null,
    recording_id uuid not null,
    session_id uuid not null,
    -- It may hold a credential: gone as soon as it has served.
    url text,
    state text not null default 'requested'
        constraint recording_fetches_state_known check (state in ('requested', 'fetched', 'failed')),
    -- Counts the tries that somebody asked for, from 1; the check of the recording goes on with the number.
    run integer not null default 1,
    created_at timestamptz not null default now(),
    -- When its state changed, or its event was last sent: what the reconciler goes by.
    updated_at timestamptz not null default now(),
    constraint recording_fetches_pkey primary key (account_id, recording_id),
    constraint recording_fetches_session_fkey foreign key (account_id, session_id)
        references sessions (account_id, id) on delete cascade,
    constraint recording_fetches_has_url check (url is not null or state = 'fetched')
);
create index recording_fetches_by_session on recording_fetches (account_id, session_id);
create index recording_fetches_waiting on recording_fetches (updated_at) where state = 'requested';

alter table recording_fetches enable row level security;
alter table recording_fetches force row level security;
create policy recording_fetches_visible on recording_fetches to aftercall_api
    using (exists (select from sessions s where s.account_id = recording_fetches.account_id and s.id = session_id));
create policy recording_fetches_workers on recording_fetches
    to aftercall_analytics, aftercall_storage, aftercall_maintenance, aftercall_owner
    using (true) with check (true);
grant select (account_id, recording_id, session_id, state, run) on recording_fetches to aftercall_api;
grant update (state, run, updated_at) on recording_fetches to aftercall_api;
grant insert on recording_fetches to aftercall_analytics;
grant select on recording_fetches to aftercall_storage;
grant update (url, state, updated_at) on recording_fetches to aftercall_storage;
grant select (account_id, recording_id, session_id, state, run, updated_at) on recording_fetches
    to aftercall_maintenance;
-- Whoever may record a failure marks its row.
grant update (state, updated_at) on recording_fetches to aftercall_maintenance;

-- The storage worker takes in what it fetches, as the ingress does what is sent. It obeys the policy of
-- the account and the consent in the session.
create policy uploads_fetch on uploads to aftercall_storage using (true) with check (true);
grant select, insert on uploads to aftercall_storage;
grant update (multipart_id, state, active_at) on uploads to aftercall_storage;
grant insert on recordings to aftercall_storage;
grant select (owner_id, consent) on sessions to aftercall_storage;
create policy account_policies_fetch on account_policies for select to aftercall_storage using (true);
grant select on account_policies to aftercall_storage;

-- The analytics worker makes a session, and everything that it begins with, in the transaction that keeps
-- the call. It belongs to whoever made the client.
create policy sessions_analytics on sessions to aftercall_analytics
    using (erased_at is null) with check (erased_at is null);
create policy session_events_analytics on session_events for insert to aftercall_analytics with check (true);
create policy transcripts_analytics on transcripts for insert to aftercall_analytics with check (true);
create policy analyses_analytics on analyses to aftercall_analytics using (true) with check (true);
create policy outbox_analytics on outbox to aftercall_analytics using (true) with check (true);
grant select (created_by) on clients to aftercall_analytics;
grant select (account_id, id, call_id, client_id, erased_at) on sessions to aftercall_analytics;
grant insert (account_id, id, owner_id, title, metadata, status, stages, last_seq, transcript_generation,
    analysis_generation, auto_transcribe, auto_analyze, started_at, ended_at, call_id, client_id)
    on sessions to aftercall_analytics;
grant insert on session_events, transcripts, analyses to aftercall_analytics;
-- What an analysis found adjusts the call.
grant select (account_id, session_id, generation, state, document) on analyses to aftercall_analytics;
-- Published right after the commit; what is left is for the relay.
grant insert, delete on outbox to aftercall_analytics;
grant select (account_id, id) on outbox to aftercall_analytics;

-- Who has recordings erased wants none fetched any more, and its address gone. Retention leaves fetches
-- alone: they are new. A session that goes as a whole takes them with it.
create function forget_fetches() returns trigger
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
begin
    delete from recording_fetches f where f.account_id = new.account_id and f.session_id = new.session_id;
    return null;
end $$;
revoke all on function forget_fetches from public;
create trigger erasure_sessions_forget_fetches after insert on erasure_sessions for each row
    when (new.parts && array['recording', 'session'] and new.made_before is null)
    execute function forget_fetches();
