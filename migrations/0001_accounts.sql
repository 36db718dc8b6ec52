-- Who acts: accounts (the tenants) and users, and what is known before anybody has signed in.

-- The principal of the transaction. Unset is null, and null matches no row.
create function app_user() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.user', true), '')::uuid;

create table accounts (
    id uuid constraint accounts_pkey primary key,
    kind text not null constraint accounts_kind_known check (kind in ('personal', 'clinic')),
    created_at timestamptz not null default now()
);

create table users (
    account_id uuid not null constraint users_account_fkey references accounts (id),
    id uuid not null,
    email text not null,
    name text not null,
    role text not null default 'counselor'
        constraint users_role_known check (role in ('counselor', 'manager', 'admin')),
    clinic_id uuid,
    is_active boolean not null default true,
    oauth_provider text,
    password_hash text,
    created_at timestamptz not null default now(),
    -- The id alone is unique too: a token names a user without naming the account.
    constraint users_pkey primary key (id),
    -- Global on purpose: people sign in with their address before any account is known.
    constraint users_email_unique unique (email),
    constraint users_email_lower check (email = lower(email))
);
create index users_account on users (account_id, id);

-- The account that the principal acts in. Runs as the owner, because it is what the policies of
-- `users` and `accounts` themselves are made of.
create function app_account() returns uuid
    language sql stable security definer set search_path = pg_catalog, public
    return (select account_id from users where id = app_user() and is_active);

alter table accounts enable row level security;
alter table accounts force row level security;
alter table users enable row level security;
alter table users force row level security;

create policy accounts_own on accounts for select to aftercall_api
    using (id = (select app_account()));
create policy users_self on users for select to aftercall_api
    using (id = (select app_user()) and account_id = (select app_account()));
-- FORCE binds the owner as well; the functions below run as the owner.
create policy accounts_owner on accounts to aftercall_owner using (true) with check (true);
create policy users_owner on users to aftercall_owner using (true) with check (true);

grant select on accounts to aftercall_api;
grant select (account_id, id, email, name, role, clinic_id, is_active, oauth_provider, created_at)
    on users to aftercall_api;

-- Register and login happen before there is a principal: they reach these functions and nothing else.
create function auth_register(user_id uuid, account uuid, address text, full_name text, hash text)
    returns void
    language plpgsql security definer set search_path = pg_catalog, public
as $$
begin
    insert into accounts (id, kind) values (account, 'personal');
    insert into users (account_id, id, email, name, password_hash)
        values (account, user_id, lower(address), full_name, hash);
end $$;

create function auth_find_user(address text)
    returns table (id uuid, password_hash text, is_active boolean)
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select users.id, users.password_hash, users.is_active from users where email = lower(address);
    end;

revoke all on function auth_register, auth_find_user, app_account from public;
grant execute on function auth_register, auth_find_user, app_account to aftercall_api;
