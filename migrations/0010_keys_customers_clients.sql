-- API keys, the customers and the clients of an account.

-- The person in a session. Everybody of the account sees them.
create table customers (
    account_id uuid not null constraint customers_account_fkey references accounts (id),
    id uuid not null,
    name text not null,
    email text,
    phone_number text,
    date_of_birth date,
    notes text,
    metadata jsonb not null default '{}',
    created_by uuid not null constraint customers_created_by_fkey references users (id),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint customers_pkey primary key (account_id, id)
);
-- Ids sort by time: lists are newest first, and one of everything needs the id alone.
create index customers_by_id on customers (id);

-- A business that an account answers for. Inactive is how a client is deleted: its calls stay.
create table clients (
    account_id uuid not null constraint clients_account_fkey references accounts (id),
    id uuid not null,
    name text not null,
    phone_number text,
    profession text,
    voice_id text,
    voice_name text,
    system_prompt text,
    is_active boolean not null default true,
    created_by uuid not null constraint clients_created_by_fkey references users (id),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint clients_pkey primary key (account_id, id)
);
create index clients_by_id on clients (id);

alter table customers enable row level security;
alter table customers force row level security;
alter table clients enable row level security;
alter table clients force row level security;

create policy customers_visible on customers to aftercall_api
    using (app_client() is null and (app_everywhere() or account_id = any (app_accounts())))
    with check (app_client() is null and (app_everywhere() or account_id = any (app_accounts())));
-- A key that is bound to a client reads that one and changes none.
create policy clients_visible on clients for select to aftercall_api
    using ((app_client() is null or id = app_client())
        and (app_everywhere() or account_id = any (app_accounts())));
create policy clients_add on clients for insert to aftercall_api
    with check (app_client() is null and (app_everywhere() or account_id = any (app_accounts())));
create policy clients_change on clients for update to aftercall_api
    using (app_client() is null and (app_everywhere() or account_id = any (app_accounts())))
    with check (app_client() is null and (app_everywhere() or account_id = any (app_accounts())));

grant select, insert on customers, clients to aftercall_api;
grant update (name, email, phone_number, date_of_birth, notes, metadata, updated_at)
    on customers to aftercall_api;
grant update (name, phone_number, profession, voice_id, voice_name, system_prompt, is_active, updated_at)
    on clients to aftercall_api;

-- A session names a customer of its own account.
alter table sessions add column customer_id uuid;
alter table sessions add constraint sessions_customer_fkey
    foreign key (account_id, customer_id) references customers (account_id, id);
create index sessions_by_customer on sessions (account_id, customer_id) where customer_id is not null;
grant update (customer_id) on sessions to aftercall_api;

alter table api_keys add constraint api_keys_client_fkey
    foreign key (account_id, client_id) references clients (account_id, id);
create index api_keys_by_owner on api_keys (account_id, owner_id, name) where revoked_at is null;

-- Keys are made, seen and revoked by people only: their maker, and who oversees the account.
create policy api_keys_visible on api_keys to aftercall_api
    using (app_role() is not null
        and (app_everywhere() or account_id = any (app_accounts()))
        and (app_oversees() or owner_id = app_user()))
    with check (app_role() is not null
        and (app_everywhere() or account_id = any (app_accounts()))
        and (app_oversees() or owner_id = app_user()));
-- The hash is written and never read back; auth_find_key compares on behalf of nobody.
grant select (account_id, id, owner_id, client_id, name, scopes, created_at, expires_at, last_used_at, revoked_at),
    insert, update (revoked_at) on api_keys to aftercall_api;

-- A key that may act now, before anybody is known; the same rule as in app_principal(). It comes with
-- what its caller needs to compare the secret and to refuse what is out of its scope.
create function auth_find_key(given uuid)
    returns table (owner_id uuid, account_id uuid, client_id uuid, secret_hash bytea, scopes text[],
        expires_at timestamptz)
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select k.owner_id, k.account_id, k.client_id, k.secret_hash, k.scopes, k.expires_at
        from api_keys k join users u on u.id = k.owner_id
        where k.id = given and k.revoked_at is null
            and (k.expires_at is null or k.expires_at > clock_timestamp())
            and u.is_active and (u.role = 'admin' or k.account_id in (u.account_id, u.clinic_id));
    end;

-- When keys were last used, many at a time. Rows are locked in one order, so that two processes that
-- note the same keys wait for each other rather than deadlock.
create function auth_note_key_uses(ids uuid[], times timestamptz[]) returns void
    language sql volatile security definer set search_path = pg_catalog, public
    begin atomic
        with used as (select u.id, max(u.at) as at from unnest(ids, times) u (id, at) group by u.id),
            locked as (
                select k.id from api_keys k where k.id in (select used.id from used)
                order by k.id for no key update)
        update api_keys k set last_used_at = greatest(k.last_used_at, used.at)
        from used join locked on locked.id = used.id where k.id = used.id;
    end;

revoke all on function auth_find_key, auth_note_key_uses from public;
grant execute on function auth_find_key, auth_note_key_uses to aftercall_api;
