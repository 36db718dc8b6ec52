-- Who acts, and in which accounts: the one place where row-level security learns of it.
--
-- A transaction of a person or a key begins with act_as(), which takes the role, asks app_principal()
-- who that is, and keeps the answer in settings of the transaction. Policies read only those settings:
-- they cost no look-up per statement, and what was revoked acts no more from the next transaction on.

alter table accounts add column name text;
alter table accounts add constraint accounts_clinic_has_name check (kind <> 'clinic' or name is not null);

-- users.account_id is the person's own account; users.clinic_id the clinic they act in, if any.
alter table users add constraint users_clinic_fkey foreign key (clinic_id) references accounts (id);
create index users_by_clinic on users (clinic_id, id) where clinic_id is not null;

-- A sign-in: what its access and refresh tokens have in common, and what a logout ends.
create table sign_ins (
    account_id uuid not null constraint sign_ins_account_fkey references accounts (id),
    -- Global on purpose: access tokens name it before any account is known.
    id uuid constraint sign_ins_pkey primary key,
    user_id uuid not null constraint sign_ins_user_fkey references users (id),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz
);
create index sign_ins_by_user on sign_ins (user_id) where revoked_at is null;
create index sign_ins_oldest on sign_ins (expires_at);

-- A key of an agent or a program. It acts as its maker within its scopes, in the account it was made in.
create table api_keys (
    account_id uuid not null constraint api_keys_account_fkey references accounts (id),
    -- Global on purpose: requests name it before any account is known.
    id uuid constraint api_keys_pkey primary key,
    owner_id uuid not null constraint api_keys_owner_fkey references users (id),
    -- Bound to one client of the account: it then reaches nothing else.
    client_id uuid,
    name text not null,
    -- A hash keyed with SECRET_KEY; the secret itself is shown once and kept nowhere.
    secret_hash bytea not null constraint api_keys_hash_length check (length(secret_hash) = 32),
    scopes text[] not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index api_keys_by_account on api_keys (account_id, id desc);

alter table sign_ins enable row level security;
alter table sign_ins force row level security;
alter table api_keys enable row level security;
alter table api_keys force row level security;
create policy sign_ins_owner on sign_ins to aftercall_owner using (true) with check (true);
create policy api_keys_owner on api_keys to aftercall_owner using (true) with check (true);

-- The settings of the transaction. Unset is null, and null matches no row.

-- The account that the principal acts in; what it makes belongs there.
create or replace function app_account() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.account', true), '')::uuid;

-- The accounts in which the principal sees anything.
create function app_accounts() returns uuid[]
    language sql stable parallel safe
    return string_to_array(nullif(current_setting('app.accounts', true), ''), ',')::uuid[];

-- Whether the principal sees what others made in those accounts: managers and admins.
create function app_oversees() returns boolean
    language sql stable parallel safe
    return coalesce(current_setting('app.oversees', true), '') = 'on';

-- Whether every account is the principal's: admins who have picked none.
create function app_everywhere() returns boolean
    language sql stable parallel safe
    return coalesce(current_setting('app.everywhere', true), '') = 'on';

-- `counselor`, `manager` or `admin`; null for keys, which manage nobody.
create function app_role() returns text
    language sql stable parallel safe
    return nullif(current_setting('app.role', true), '');

-- The client that the acting key is bound to.
create function app_client() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.client', true), '')::uuid;

revoke all on function app_account, app_accounts, app_oversees, app_everywhere, app_role, app_client from public;
grant execute on function app_account, app_accounts, app_oversees, app_everywhere, app_role, app_client
    to aftercall_api;

-- Who a signed-in person or a key is, now. 28000: nobody, or no longer; P0002: not an account of theirs.
create function app_principal(
    given_user uuid, given_sign_in uuid, given_key uuid, picked uuid,
    out user_id uuid, out role text, out account_id uuid, out account_ids uuid[],
    out oversees boolean, out everywhere boolean, out client_id uuid
)
    language plpgsql stable security definer set search_path = pg_catalog, public
as $$
declare
    person users;
    key api_keys;
begin
    if given_key is null then
        select u.* into person from users u
            where u.id = given_user and u.is_active
                and (given_sign_in is null or exists (
                    select from sign_ins s
                    where s.id = given_sign_in and s.user_id = u.id and s.revoked_at is null
                        and s.expires_at > clock_timestamp()));
    else
        select k.* into key from api_keys k
            where k.id = given_key and k.revoked_at is null
                and (k.expires_at is null or k.expires_at > clock_timestamp());
        -- A key dies with its maker's access to the account.
        select u.* into person from users u
            where u.id = key.owner_id and u.is_active
                and (u.role = 'admin' or key.account_id in (u.account_id, u.clinic_id));
    end if;
    if person.id is null then
        raise exception 'nobody acts here' using errcode = '28000';
    end if;
    user_id := person.id;
    oversees := person.role in ('manager', 'admin');
    if given_key is null then
        role := person.role;
        account_id := coalesce(person.clinic_id, person.account_id);
        account_ids := array_remove(array[person.clinic_id, person.account_id], null);
        everywhere := person.role = 'admin';
    else
        client_id := key.client_id;
        account_id := key.account_id;
        account_ids := array[key.account_id];
        everywhere := false;
    end if;
    if picked is not null then
        if picked <> all (account_ids)
            and not (everywhere and exists (select from accounts a where a.id = picked)) then
            raise exception 'not an account of theirs' using errcode = 'P0002';
        end if;
        account_id := picked;
        account_ids := array[picked];
        everywhere := false;
    end if;
end $$;
revoke all on function app_principal from public;
grant execute on function app_principal to aftercall_api;

-- Begins what a person or a key does in this transaction. It runs as the caller, who gains nothing by
-- it: only who may take the role aftercall_api gets past its first line.
create function act_as(
    given_user uuid, given_sign_in uuid, given_key uuid, picked uuid,
    out user_id uuid, out role text, out account_id uuid, out client_id uuid
)
    language plpgsql volatile
as $$
declare
    who record;
begin
    perform set_config('role', 'aftercall_api', true);
    select * into who from app_principal(given_user, given_sign_in, given_key, picked);
    perform set_config('app.user', who.user_id::text, true),
        set_config('app.role', coalesce(who.role, ''), true),
        set_config('app.account', who.account_id::text, true),
        set_config('app.accounts', array_to_string(who.account_ids, ','), true),
        set_config('app.oversees', case when who.oversees then 'on' else '' end, true),
        set_config('app.everywhere', case when who.everywhere then 'on' else '' end, true),
        set_config('app.client', coalesce(who.client_id::text, ''), true);
    user_id := who.user_id;
    role := who.role;
    account_id := who.account_id;
    client_id := who.client_id;
end $$;

-- Who sees what (docs/architecture.md), from here on.

alter policy accounts_own on accounts using (app_everywhere() or id = any (app_accounts()));
alter policy users_self on users
    using (id = app_user() or app_everywhere() or (app_oversees() and clinic_id = any (app_accounts())));
alter policy users_self on users rename to users_visible;

-- An erased session is hidden at once, from the workers too; maintenance removes what it left.
alter table sessions add column erased_at timestamptz;
alter policy sessions_visible on sessions
    using (erased_at is null and app_client() is null
        and (app_everywhere() or account_id = any (app_accounts()))
        and (app_oversees() or owner_id = app_user()))
    with check (erased_at is null and app_client() is null
        and (app_everywhere() or account_id = any (app_accounts()))
        and (app_oversees() or owner_id = app_user()));
drop policy sessions_workers on sessions;
create policy sessions_workers on sessions
    to aftercall_storage, aftercall_transcription, aftercall_analysis
    using (erased_at is null) with check (erased_at is null);
create policy sessions_maintenance on sessions to aftercall_maintenance using (true) with check (true);
grant select (erased_at) on sessions
    to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance;
-- Lists walk one of these, newest first: an account's, or everything.
create index sessions_by_account on sessions (account_id, created_at desc, id desc);
create index sessions_newest on sessions (created_at desc, id desc);

-- What hangs on a session is seen by whoever sees the session.
alter policy session_events_visible on session_events
    using (exists (select from sessions s where s.account_id = session_events.account_id and s.id = session_id));
alter policy recordings_visible on recordings
    using (exists (select from sessions s where s.account_id = recordings.account_id and s.id = session_id));
alter policy transcriptions_visible on transcriptions
    using (exists (select from sessions s where s.account_id = transcriptions.account_id and s.id = session_id));
alter policy transcripts_visible on transcripts
    using (exists (select from sessions s where s.account_id = transcripts.account_id and s.id = session_id));
alter policy analyses_visible on analyses
    using (exists (select from sessions s where s.account_id = analyses.account_id and s.id = session_id));
alter policy uploads_own on uploads
    using (user_id = app_user()
        and exists (select from sessions s where s.account_id = uploads.account_id and s.id = session_id))
    with check (user_id = app_user()
        and exists (select from sessions s where s.account_id = uploads.account_id and s.id = session_id));
alter policy outbox_own on outbox
    using (app_everywhere() or account_id = any (app_accounts()))
    with check (app_everywhere() or account_id = any (app_accounts()));
alter policy idempotency_keys_own on idempotency_keys
    using (user_id = app_user() and (app_everywhere() or account_id = any (app_accounts())))
    with check (user_id = app_user() and (app_everywhere() or account_id = any (app_accounts())));

-- Who read or changed what. Rows are only ever added: no role may change or remove one.
create table audit_log (
    account_id uuid not null constraint audit_log_account_fkey references accounts (id),
    id uuid not null,
    at timestamptz not null default clock_timestamp(),
    -- Null where a worker acted.
    actor_id uuid constraint audit_log_actor_fkey references users (id),
    key_id uuid,
    -- For example `transcript.read`.
    action text not null,
    object_kind text not null,
    object_id uuid,
    address text,
    trace_id text,
    -- Names of fields and counts; never what people said or wrote.
    details jsonb not null default '{}',
    constraint audit_log_pkey primary key (account_id, id)
);
create index audit_log_by_object on audit_log (account_id, object_id, id desc);
create index audit_log_newest on audit_log (id desc);
alter table audit_log enable row level security;
alter table audit_log force row level security;
create policy audit_log_add on audit_log for insert to aftercall_api
    with check (actor_id = app_user() and (app_everywhere() or account_id = any (app_accounts())));
create policy audit_log_read on audit_log for select to aftercall_api
    using (app_oversees() and app_role() is not null and (app_everywhere() or account_id = any (app_accounts())));
create policy audit_log_workers on audit_log for insert to aftercall_maintenance with check (actor_id is null);
create policy audit_log_owner on audit_log for insert to aftercall_owner with check (true);
grant insert, select on audit_log to aftercall_api;
grant insert on audit_log to aftercall_maintenance;
