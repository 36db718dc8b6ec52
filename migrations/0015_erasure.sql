-- Erasure: what was asked to be destroyed, what of it is done, and the receipt that remains.
--
-- These tables outlive what they name. They hold ids, counts and times, never what people said, wrote
-- or are called.

-- One request: of a person, of withdrawn consent, or of the schedule.
create table erasures (
    account_id uuid not null constraint erasures_account_fkey references accounts (id),
    id uuid not null,
    subject_kind text not null constraint erasures_subject_known check (subject_kind in ('session', 'customer')),
    subject_id uuid not null,
    -- Whose session it was: they may ask again, and get the same erasure.
    owner_id uuid,
    parts text[] not null
        constraint erasures_parts_known check (parts <@ array['recording', 'transcript', 'analysis', 'session']
            and cardinality(parts) > 0),
    reason text not null constraint erasures_reason_known check (reason in ('request', 'consent', 'retention')),
    -- Null where no person asked.
    requested_by uuid constraint erasures_requested_by_fkey references users (id),
    requested_at timestamptz not null default clock_timestamp(),
    -- What went in the transaction of the request: [{where, what, count}].
    destroyed jsonb not null default '[]',
    constraint erasures_pkey primary key (account_id, id)
);
-- What is gone entirely is erased once: a repeat finds the erasure that there is.
create unique index erasures_subject_unique on erasures (account_id, subject_kind, subject_id)
    where parts @> array['session'];

-- The work of an erasure in one session, and how far it is.
create table erasure_sessions (
    account_id uuid not null,
    erasure_id uuid not null,
    -- Not a reference: this row stays when the session is gone.
    session_id uuid not null,
    parts text[] not null
        constraint erasure_sessions_parts_known check (parts <@ array['recording', 'transcript', 'analysis', 'session']
            and cardinality(parts) > 0),
    -- Retention spares what was made since.
    made_before timestamptz,
    -- requested: the first pass is to be made. settling: made, and what was in flight then may still
    -- arrive. pending: nothing is left that can be reached. done.
    state text not null default 'requested'
        constraint erasure_sessions_state_known check (state in ('requested', 'settling', 'pending', 'done')),
    -- Keys of objects, and multipart uploads as [{key, id}], that are to go.
    objects text[] not null default '{}',
    multiparts jsonb not null default '[]',
    -- Messages that were found and are being destroyed: [[stream, sequence]]. Written before the first
    -- is deleted, so that a crash in between neither misses nor miscounts one.
    messages jsonb not null default '[]',
    -- Facts of the timeline whose message was not in the stream any more.
    missing uuid[] not null default '{}',
    -- The stream EVENTS when it was first searched: until where its files may hold those messages.
    log_created_at timestamptz,
    log_last_sequence bigint,
    -- [{where, what, count}]
    destroyed jsonb not null default '[]',
    requested_at timestamptz not null default clock_timestamp(),
    -- When the last step was made.
    updated_at timestamptz not null default clock_timestamp(),
    completed_at timestamptz,
    constraint erasure_sessions_pkey primary key (account_id, erasure_id, session_id),
    constraint erasure_sessions_erasure_fkey foreign key (account_id, erasure_id)
        references erasures (account_id, id)
);
create index erasure_sessions_unfinished on erasure_sessions (updated_at) where state <> 'done';
-- What arrives late asks whether its session was erased.
create index erasure_sessions_by_session on erasure_sessions (session_id);

alter table erasures enable row level security;
alter table erasures force row level security;
alter table erasure_sessions enable row level security;
alter table erasure_sessions force row level security;

create policy erasures_visible on erasures to aftercall_api
    using (app_client() is null
        and (app_everywhere() or account_id = any (app_accounts()))
        and (app_oversees() or owner_id = app_user() or requested_by = app_user()))
    with check (app_client() is null and requested_by = app_user()
        and (app_everywhere() or account_id = any (app_accounts())));
create policy erasures_maintenance on erasures to aftercall_maintenance using (true) with check (true);
create policy erasure_sessions_visible on erasure_sessions for select to aftercall_api
    using (exists (select from erasures e where e.account_id = erasure_sessions.account_id and e.id = erasure_id));
-- Whoever sees the session may have it erased.
create policy erasure_sessions_ask on erasure_sessions for insert to aftercall_api
    with check (exists (select from erasures e where e.account_id = erasure_sessions.account_id and e.id = erasure_id)
        and exists (select from sessions s where s.account_id = erasure_sessions.account_id and s.id = session_id));
create policy erasure_sessions_maintenance on erasure_sessions
    to aftercall_maintenance using (true) with check (true);
create policy erasure_sessions_owner on erasure_sessions to aftercall_owner using (true) with check (true);

grant select, insert on erasures to aftercall_api, aftercall_maintenance;
grant select on erasure_sessions to aftercall_api, aftercall_maintenance;
grant insert (account_id, erasure_id, session_id, parts, made_before) on erasure_sessions
    to aftercall_api, aftercall_maintenance;
grant update (state, objects, multiparts, messages, missing, log_created_at, log_last_sequence, destroyed,
    updated_at, completed_at) on erasure_sessions to aftercall_maintenance;

-- An analysis outlives the transcript that it was made of.
alter table analyses drop constraint analyses_transcript_fkey;
alter table analyses add constraint analyses_session_fkey foreign key (account_id, session_id)
    references sessions (account_id, id) on delete cascade;

-- The row of an erased recording stays; its audio and its file name are gone.
alter table recordings drop constraint recordings_state_known;
alter table recordings add constraint recordings_state_known
    check (state in ('uploaded', 'stored', 'failed', 'erased'));
-- What was transcribed and erased is not waited for when the next transcript is composed.
alter table recordings add column transcript_erased boolean not null default false;

-- What an erasure does in the transaction that asks for it. It may do so only where the caller could
-- write the row in erasure_sessions, and runs as the owner because a caller can neither hide a row that
-- they see from themselves nor remove results.
create function erase_rows(given_account uuid, given_erasure uuid, given_session uuid) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
declare
    work erasure_sessions;
    gone jsonb := '[]';
    gone_count bigint;
    erased uuid[];
begin
    select * into strict work from erasure_sessions e
        where e.account_id = given_account and e.erasure_id = given_erasure and e.session_id = given_session
            and e.state = 'requested';

    if work.parts && array['session', 'recording'] then
        work.objects := array(
            select r.object_key from recordings r
            where r.account_id = given_account and r.session_id = given_session
                and (work.parts @> array['session'] or r.state <> 'erased')
                and (work.made_before is null or r.created_at < work.made_before));
    end if;
    -- Retention leaves uploads alone: they are new.
    if work.parts && array['session', 'recording'] and work.made_before is null then
        work.multiparts := coalesce((
            select jsonb_agg(jsonb_build_object('key', u.object_key, 'id', u.multipart_id)) from uploads u
            where u.account_id = given_account and u.session_id = given_session and u.state <> 'finished'), '[]');
    end if;

    if work.parts @> array['session'] then
        update sessions s set erased_at = clock_timestamp()
            where s.account_id = given_account and s.id = given_session and s.erased_at is null;
    end if;
    if work.parts @> array['recording'] and not work.parts @> array['session'] then
        with gone_recordings as (
            update recordings r set state = 'erased', file_name = null, updated_at = clock_timestamp()
                where r.account_id = given_account and r.session_id = given_session and r.state <> 'erased'
                    and (work.made_before is null or r.created_at < work.made_before)
                returning r.id
        )
        select array_agg(g.id) into erased from gone_recordings g;
        -- What waits for this audio waits for nothing.
        delete from transcriptions t
            where t.account_id = given_account and t.recording_id = any (erased) and t.state <> 'done';
        if work.made_before is null then
            update uploads u set state = 'abandoned'
                where u.account_id = given_account and u.session_id = given_session and u.state = 'running';
        end if;
    end if;
    if work.parts @> array['transcript'] and not work.parts @> array['session'] then
        delete from transcripts t
            where t.account_id = given_account and t.session_id = given_session
                and (work.made_before is null or t.created_at < work.made_before);
        get diagnostics gone_count = row_count;
        gone := gone || jsonb_build_object('where', 'postgres', 'what', 'transcripts', 'count', gone_count);
        with gone_transcriptions as (
            delete from transcriptions t
                where t.account_id = given_account and t.session_id = given_session
                    and (work.made_before is null or t.requested_at < work.made_before
                        and (t.state = 'requested' or t.updated_at < work.made_before))
                returning t.recording_id
        )
        select array_agg(g.recording_id) into erased from gone_transcriptions g;
        gone := gone || jsonb_build_object(
            'where', 'postgres', 'what', 'transcriptions', 'count', coalesce(cardinality(erased), 0));
        update recordings r set transcript_erased = true
            where r.account_id = given_account and r.id = any (erased);
        -- What waits for this transcript waits for nothing.
        delete from analyses a
            where a.account_id = given_account and a.session_id = given_session and a.state <> 'done'
                and not exists (select from transcripts t where t.account_id = a.account_id
                    and t.session_id = a.session_id and t.generation = a.transcript_generation);
        -- Numbers of generations are never used again.
        update sessions s set transcript_generation = transcript_generation + 1
            where s.account_id = given_account and s.id = given_session and (gone_count > 0 or erased is not null);
    end if;
    if work.parts @> array['analysis'] and not work.parts @> array['session'] then
        delete from analyses a
            where a.account_id = given_account and a.session_id = given_session
                and (work.made_before is null or a.created_at < work.made_before
                    and (a.state = 'requested' or a.updated_at < work.made_before));
        get diagnostics gone_count = row_count;
        gone := gone || jsonb_build_object('where', 'postgres', 'what', 'analyses', 'count', gone_count);
    end if;
    update erasure_sessions e set objects = work.objects, multiparts = work.multiparts, destroyed = gone
        where e.account_id = given_account and e.erasure_id = given_erasure and e.session_id = given_session;
end $$;
revoke all on function erase_rows from public;
grant execute on function erase_rows to aftercall_api, aftercall_maintenance;

-- Removes a customer whose sessions are all erased, in the transaction that erases them. AC403: some are
-- left that the caller does not see, so it is not for the caller to erase this customer.
create function erase_customer(given_account uuid, given_erasure uuid, given_customer uuid) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
begin
    if not exists (select from erasures e where e.account_id = given_account and e.id = given_erasure
            and e.subject_kind = 'customer' and e.subject_id = given_customer) then
        raise exception 'no erasure of this customer';
    end if;
    if exists (select from sessions s where s.account_id = given_account
            and s.customer_id = given_customer and s.erased_at is null) then
        raise exception 'sessions of others are left' using errcode = 'AC403';
    end if;
    update sessions s set customer_id = null
        where s.account_id = given_account and s.customer_id = given_customer;
    delete from customers c where c.account_id = given_account and c.id = given_customer;
    update idempotency_keys k set status = 404, body = '{}'
        where k.path = '/customers' and k.body ->> 'id' = given_customer::text;
    update erasures e set destroyed = e.destroyed
            || jsonb_build_object('where', 'postgres', 'what', 'customers', 'count', 1)
        where e.account_id = given_account and e.id = given_erasure;
end $$;
revoke all on function erase_customer from public;
grant execute on function erase_customer to aftercall_api;

create policy erasures_owner on erasures to aftercall_owner using (true) with check (true);
create policy customers_erase on customers to aftercall_owner using (true) with check (true);
create policy idempotency_keys_erase on idempotency_keys to aftercall_owner using (true) with check (true);
create policy sessions_erase on sessions to aftercall_owner using (true) with check (true);
create policy recordings_erase on recordings to aftercall_owner using (true) with check (true);
create policy uploads_erase on uploads to aftercall_owner using (true) with check (true);
create policy transcriptions_erase on transcriptions to aftercall_owner using (true) with check (true);
create policy transcripts_erase on transcripts to aftercall_owner using (true) with check (true);
create policy analyses_erase on analyses to aftercall_owner using (true) with check (true);

-- What maintenance removes. Everything that hangs on a session goes with its row.
grant select (owner_id) on sessions to aftercall_maintenance;
grant delete on sessions, dead_letters to aftercall_maintenance;
-- An answer that told of what is erased is given as "no longer there".
grant update (status, body) on idempotency_keys to aftercall_maintenance;
-- Answers that tell of a session, and requests whose path names one: `/sessions/<id>/…`, `/analysis/<id>/…`.
create index idempotency_keys_session on idempotency_keys ((body ->> 'session_id'));
create index idempotency_keys_customer on idempotency_keys ((body ->> 'id')) where path = '/customers';
create index idempotency_keys_path on idempotency_keys (split_part(path, '/', 3));

-- Retention looks for what is oldest in an account.
create index recordings_oldest on recordings (account_id, created_at) where state <> 'erased';
create index transcriptions_oldest on transcriptions (account_id, requested_at);
create index transcripts_oldest on transcripts (account_id, created_at);
create index analyses_oldest on analyses (account_id, created_at);
