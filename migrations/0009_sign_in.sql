-- Refresh tokens: opaque, kept as hashes, each used once.
--
-- The tokens of one sign-in are a family. The successor of a token is derived from it, so that an answer
-- that was lost on its way can be given once more. Whoever comes with a token whose successor was used
-- has a copy of it, and nobody can tell whose copy is the stolen one: the whole family ends.

create table refresh_tokens (
    account_id uuid not null constraint refresh_tokens_account_fkey references accounts (id),
    -- SHA-256 of the token, which is random or derived with SECRET_KEY. Global on purpose: a request
    -- brings nothing else.
    hash bytea constraint refresh_tokens_pkey primary key
        constraint refresh_tokens_hash_length check (length(hash) = 32),
    sign_in_id uuid not null constraint refresh_tokens_sign_in_fkey references sign_ins (id) on delete cascade,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    used_at timestamptz
);
create index refresh_tokens_by_sign_in on refresh_tokens (sign_in_id);

alter table refresh_tokens enable row level security;
alter table refresh_tokens force row level security;
create policy refresh_tokens_owner on refresh_tokens to aftercall_owner using (true) with check (true);
create policy refresh_tokens_sweep on refresh_tokens to aftercall_maintenance using (true);
create policy sign_ins_sweep on sign_ins to aftercall_maintenance using (true);
grant select (expires_at), delete on refresh_tokens to aftercall_maintenance;
grant select (expires_at, revoked_at), delete on sign_ins to aftercall_maintenance;

-- Begins a sign-in of a user whose credentials were checked.
create function auth_sign_in(
    of_user uuid, new_sign_in uuid, token bytea, token_life_s integer, sign_in_life_s integer
) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
declare
    account uuid;
begin
    select u.account_id into account from users u where u.id = of_user and u.is_active;
    if account is null then
        raise exception 'nobody signs in' using errcode = '28000';
    end if;
    insert into sign_ins (account_id, id, user_id, expires_at)
        values (account, new_sign_in, of_user, now() + make_interval(secs => sign_in_life_s));
    insert into refresh_tokens (account_id, hash, sign_in_id, expires_at)
        values (account, token, new_sign_in, now() + make_interval(secs => least(token_life_s, sign_in_life_s)));
end $$;

-- One more refresh token of a sign-in, for whoever shows its access token.
create function auth_add_token(of_sign_in uuid, token bytea, token_life_s integer) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
begin
    insert into refresh_tokens (account_id, hash, sign_in_id, expires_at)
        select s.account_id, token, s.id, least(now() + make_interval(secs => token_life_s), s.expires_at)
        from sign_ins s join users u on u.id = s.user_id
        where s.id = of_sign_in and s.revoked_at is null and s.expires_at > now() and u.is_active;
    if not found then
        raise exception 'nobody signs in' using errcode = '28000';
    end if;
end $$;

-- Uses a refresh token. `outcome` is `renewed` (its successor is stored now), `repeated` (its successor
-- was stored within the last `grace_s` seconds and is unused: the same answer once more), `reused` (the
-- sign-in has ended) or `ended` (unknown, expired, signed out, deactivated).
create function auth_refresh(
    token bytea, successor bytea, token_life_s integer, grace_s integer,
    out outcome text, out user_id uuid, out sign_in_id uuid
)
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
declare
    given refresh_tokens;
    family sign_ins;
begin
    outcome := 'ended';
    -- The family first, and locked: of all who come with one token, one at a time is served.
    select s.* into family from sign_ins s
        where s.id = (select t.sign_in_id from refresh_tokens t where t.hash = token) for update;
    select t.* into given from refresh_tokens t where t.hash = token;
    if family.id is null or given.hash is null or family.revoked_at is not null
        or family.expires_at <= clock_timestamp() or given.expires_at <= clock_timestamp()
        or not exists (select from users u where u.id = family.user_id and u.is_active) then
        return;
    end if;
    user_id := family.user_id;
    sign_in_id := family.id;
    if given.used_at is null then
        update refresh_tokens set used_at = clock_timestamp() where hash = token;
        insert into refresh_tokens (account_id, hash, sign_in_id, expires_at)
            values (family.account_id, successor, family.id,
                least(clock_timestamp() + make_interval(secs => token_life_s), family.expires_at));
        outcome := 'renewed';
    elsif given.used_at > clock_timestamp() - make_interval(secs => grace_s)
        and exists (select from refresh_tokens t where t.hash = successor and t.used_at is null) then
        outcome := 'repeated';
    else
        update sign_ins set revoked_at = clock_timestamp() where id = family.id;
        insert into audit_log (account_id, id, action, object_kind, object_id)
            values (family.account_id, gen_random_uuid(), 'sign_in.reuse_detected', 'sign_in', family.id);
        outcome := 'reused';
    end if;
end $$;

-- Ends a sign-in, by its id or by any refresh token of it. Repeats change nothing.
create function auth_sign_out(of_sign_in uuid, token bytea) returns void
    language sql volatile security definer set search_path = pg_catalog, public
    begin atomic
        update sign_ins set revoked_at = clock_timestamp()
        where revoked_at is null
            and (id = of_sign_in or id = (select t.sign_in_id from refresh_tokens t where t.hash = token));
    end;

revoke all on function auth_sign_in, auth_add_token, auth_refresh, auth_sign_out from public;
grant execute on function auth_sign_in, auth_add_token, auth_refresh, auth_sign_out to aftercall_api;

-- A registration under an Idempotency-Key is kept where the answers of other commands are. There is no
-- user yet when the key comes, so a repeat is found by the e-mail address. `request` is keyed with
-- SECRET_KEY and leaves out the password, which has its own hash; the answer is not kept, as it has tokens.
create policy idempotency_keys_owner on idempotency_keys to aftercall_owner using (true) with check (true);

create function auth_keep_registration(of_user uuid, given_key text, request bytea) returns void
    language sql volatile security definer set search_path = pg_catalog, public
    begin atomic
        insert into idempotency_keys (account_id, user_id, path, key, request_sha256, status, body)
        select u.account_id, u.id, '/auth/register', given_key, request, 201, '{}' from users u where u.id = of_user;
    end;

create function auth_find_registration(address text, given_key text) returns bytea
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select k.request_sha256 from users u join idempotency_keys k
            on k.account_id = u.account_id and k.user_id = u.id
        where u.email = lower(address) and k.path = '/auth/register' and k.key = given_key;
    end;

revoke all on function auth_keep_registration, auth_find_registration from public;
grant execute on function auth_keep_registration, auth_find_registration to aftercall_api;
