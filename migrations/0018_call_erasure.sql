-- Erasure of calls and clients, and retention of what calls said.
--
-- A call shares its message with other calls, which are kept: in Postgres, because a message is destroyed
-- only when everybody has acknowledged it.

alter table erasures drop constraint erasures_subject_known;
alter table erasures add constraint erasures_subject_known
    check (subject_kind in ('session', 'customer', 'client', 'call'));
-- `client` and `call` are the whole of one; `transcript` of a client is what its calls said.
alter table erasures drop constraint erasures_parts_known;
alter table erasures add constraint erasures_parts_known
    check (parts <@ array['recording', 'transcript', 'analysis', 'session', 'client', 'call']
        and cardinality(parts) > 0);

-- The work of an erasure of a call, of a client, or of what calls said, and how far it is.
create table erasure_calls (
    account_id uuid not null,
    erasure_id uuid not null,
    -- Not a reference: this row stays.
    client_id uuid not null,
    -- Null: all calls of the client.
    call_id uuid,
    -- Retention: only the text goes, of calls that count before. The rows and rollups stay.
    made_before timestamptz,
    -- As in erasure_sessions.
    state text not null default 'requested'
        constraint erasure_calls_state_known check (state in ('requested', 'settling', 'pending', 'done')),
    -- [{where, what, count}]
    destroyed jsonb not null default '[]',
    -- When the last step was made.
    updated_at timestamptz not null default clock_timestamp(),
    completed_at timestamptz,
    constraint erasure_calls_pkey primary key (account_id, erasure_id),
    constraint erasure_calls_erasure_fkey foreign key (account_id, erasure_id)
        references erasures (account_id, id)
);
-- What is gone entirely is erased once. Two clients may use one id of a call.
create unique index erasure_calls_call_unique on erasure_calls (account_id, client_id, call_id)
    where call_id is not null;
create unique index erasure_calls_client_unique on erasure_calls (account_id, client_id)
    where call_id is null and made_before is null;
create index erasure_calls_by_call on erasure_calls (call_id) where call_id is not null;
create index erasure_calls_unfinished on erasure_calls (updated_at) where state <> 'done';
-- What is hidden while its rows go.
create index erasure_calls_hidden on erasure_calls (client_id, call_id)
    where made_before is null and state in ('requested', 'settling');

-- Messages that carry what an erasure destroys. Written down in the transaction that removes the rows that
-- name them, and gone from here when they are destroyed.
create table erasure_messages (
    account_id uuid not null,
    erasure_id uuid not null,
    stream text not null,
    stream_created_at timestamptz not null,
    stream_sequence bigint not null,
    -- found: to be destroyed. trimmed: it had left the stream, and its bytes go with the file they are in.
    state text not null default 'found'
        constraint erasure_messages_state_known check (state in ('found', 'trimmed')),
    -- The end of the stream when it held more than any of its files can: the file is gone when everything
    -- up to there is.
    gone_beyond bigint,
    constraint erasure_messages_pkey
        primary key (account_id, erasure_id, stream, stream_created_at, stream_sequence),
    constraint erasure_messages_erasure_fkey foreign key (account_id, erasure_id)
        references erasure_calls (account_id, erasure_id)
);
create index erasure_messages_found on erasure_messages (stream, stream_sequence) where state = 'found';

-- Messages whose bytes are overwritten, so that another erasure that finds one missing knows why.
create table destroyed_messages (
    stream text not null,
    stream_created_at timestamptz not null,
    stream_sequence bigint not null,
    constraint destroyed_messages_pkey primary key (stream, stream_created_at, stream_sequence)
);

-- Until where retention has gone through the calls of a client, so that it does not begin with the oldest
-- each time; once a day it does, because a call may arrive long after it counts.
create table call_retention (
    account_id uuid not null,
    client_id uuid not null,
    blanked_before timestamptz not null,
    began_at timestamptz not null,
    constraint call_retention_pkey primary key (account_id, client_id)
);

alter table erasure_calls enable row level security;
alter table erasure_calls force row level security;
alter table erasure_messages enable row level security;
alter table erasure_messages force row level security;
alter table destroyed_messages enable row level security;
alter table destroyed_messages force row level security;
alter table call_retention enable row level security;
alter table call_retention force row level security;

-- Whoever sees calls must see which of them are hidden: by account alone.
create policy erasure_calls_visible on erasure_calls for select to aftercall_api
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts())));
-- Whoever sees the client, or the call, may have it erased.
create policy erasure_calls_ask on erasure_calls for insert to aftercall_api
    with check (made_before is null
        and exists (select from erasures e where e.account_id = erasure_calls.account_id and e.id = erasure_id)
        and case when call_id is null
            then exists (select from clients c
                where c.account_id = erasure_calls.account_id and c.id = client_id)
            else exists (select from calls c where c.account_id = erasure_calls.account_id
                and c.client_id = erasure_calls.client_id and c.id = call_id) end);
create policy erasure_calls_workers on erasure_calls
    to aftercall_analytics, aftercall_maintenance, aftercall_owner using (true) with check (true);
create policy erasure_messages_visible on erasure_messages for select to aftercall_api
    using (app_client() is null and (app_everywhere() or account_id = any (app_accounts())));
create policy erasure_messages_workers on erasure_messages
    to aftercall_analytics, aftercall_maintenance using (true) with check (true);
create policy destroyed_messages_maintenance on destroyed_messages
    to aftercall_maintenance using (true) with check (true);
create policy call_retention_maintenance on call_retention to aftercall_maintenance using (true) with check (true);

grant select on erasure_calls, erasure_messages to aftercall_api;
grant insert (account_id, erasure_id, client_id, call_id) on erasure_calls to aftercall_api;
grant select on erasure_calls to aftercall_analytics, aftercall_maintenance;
grant insert on erasure_calls to aftercall_maintenance;
grant update (state, updated_at, completed_at) on erasure_calls to aftercall_analytics;
grant update (state, destroyed, updated_at, completed_at) on erasure_calls to aftercall_maintenance;
-- The fold notes messages that bring what is erased.
grant select, insert on erasure_messages to aftercall_analytics;
grant select, insert, update, delete on erasure_messages to aftercall_maintenance;
grant select, insert on destroyed_messages to aftercall_maintenance;
grant select, insert, update on call_retention to aftercall_maintenance;
-- A letter of many calls loses the lines of those that are erased.
grant update (data) on dead_letters to aftercall_maintenance;

-- The rows of an erased call or client go in steps, right after the request; until then nobody sees them.
alter policy calls_visible on calls
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts()))
        and client_id <> all (array(select e.client_id from erasure_calls e where e.call_id is null
            and e.made_before is null and e.state in ('requested', 'settling')))
        and (client_id, id) not in (select e.client_id, e.call_id from erasure_calls e
            where e.call_id is not null and e.made_before is null and e.state in ('requested', 'settling')));
alter policy call_conflicts_visible on call_conflicts
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts()))
        and client_id <> all (array(select e.client_id from erasure_calls e where e.call_id is null
            and e.made_before is null and e.state in ('requested', 'settling')))
        and (client_id, call_id) not in (select e.client_id, e.call_id from erasure_calls e
            where e.call_id is not null and e.made_before is null and e.state in ('requested', 'settling')));
alter policy call_rollups_visible on call_rollups
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts()))
        and client_id <> all (array(select e.client_id from erasure_calls e where e.call_id is null
            and e.made_before is null and e.state in ('requested', 'settling'))));
alter policy call_latencies_visible on call_latencies
    using ((app_client() is null or client_id = app_client())
        and (app_everywhere() or account_id = any (app_accounts()))
        and client_id <> all (array(select e.client_id from erasure_calls e where e.call_id is null
            and e.made_before is null and e.state in ('requested', 'settling'))));

-- What the request itself does: the tombstone, and of a client everything that its row says. It may do so
-- only where the caller could write the row in erasure_calls.
create function erase_calls(given_account uuid, given_erasure uuid) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
declare
    work erasure_calls;
begin
    select * into strict work from erasure_calls e
        where e.account_id = given_account and e.erasure_id = given_erasure
            and e.state = 'requested' and e.made_before is null;
    if work.call_id is not null then
        insert into erased_calls (account_id, call_id, client_id)
            values (work.account_id, work.call_id, work.client_id) on conflict do nothing;
        return;
    end if;
    -- The row stays, so that calls that come late are known to be of nobody any more.
    update clients c set erased_at = clock_timestamp(), is_active = false, name = '', phone_number = null,
            profession = null, voice_id = null, voice_name = null, system_prompt = null
        where c.account_id = work.account_id and c.id = work.client_id and c.erased_at is null;
    update api_keys k set revoked_at = clock_timestamp()
        where k.account_id = work.account_id and k.client_id = work.client_id and k.revoked_at is null;
    update idempotency_keys k set status = 404, body = '{}'
        where k.path = '/clients' and k.body ->> 'id' = work.client_id::text;
    update erasures e set destroyed = e.destroyed
            || jsonb_build_object('where', 'postgres', 'what', 'clients', 'count', 1)
        where e.account_id = given_account and e.id = given_erasure;
end $$;
revoke all on function erase_calls from public;
grant execute on function erase_calls to aftercall_api;

create policy clients_erase on clients to aftercall_owner using (true) with check (true);
create index idempotency_keys_client on idempotency_keys ((body ->> 'id')) where path = '/clients';
