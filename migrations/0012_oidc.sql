-- Sign-in with an outside identity provider: a user is linked to one person at one provider.

-- oauth_provider is the name that OIDC_ISSUERS gives the provider, oauth_id its `sub` for the person.
alter table users add column oauth_id text;
alter table users add constraint users_oauth_complete check ((oauth_provider is null) = (oauth_id is null));
-- Global on purpose: people sign in before any account is known.
alter table users add constraint users_oauth_unique unique (oauth_provider, oauth_id);

-- Who somebody is whom a provider vouches for. `verified_address` is null unless the provider says that
-- the e-mail address is theirs; nothing but such an address links or makes a user. `outcome` is `found`,
-- `linked` or `registered` with the user, else why nobody signs in: `unverified`, `linked_elsewhere` (the
-- address is that of a user who signs in as somebody else), `deactivated`, `closed` (registration is).
--
-- Registration takes anybody's address without a proof. So somebody may have registered the address of
-- another, to share the account once its owner comes with a provider. Whoever proves the address gets the
-- account alone: the password, the sign-ins and the API keys from before the proof end with it.
create function auth_oidc(
    provider text, subject text, verified_address text, full_name text, may_register boolean,
    new_user uuid, new_account uuid, out outcome text, out of_user uuid
)
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
declare
    person users;
    keys_revoked integer;
begin
    -- Of all who come with one identity or one address, one at a time is served.
    perform pg_advisory_xact_lock(hashtextextended('oidc ' || provider || ' ' || subject, 0));
    if verified_address is not null then
        perform pg_advisory_xact_lock(hashtextextended('oidc ' || lower(verified_address), 0));
    end if;
    select u.* into person from users u where u.oauth_provider = provider and u.oauth_id = subject;
    if person.id is not null then
        outcome := case when person.is_active then 'found' else 'deactivated' end;
        of_user := case when person.is_active then person.id end;
        return;
    end if;
    if verified_address is null then
        outcome := 'unverified';
        return;
    end if;
    select u.* into person from users u where u.email = lower(verified_address) for update;
    if person.id is null then
        if not may_register then
            outcome := 'closed';
            return;
        end if;
        insert into accounts (id, kind) values (new_account, 'personal');
        insert into users (account_id, id, email, name, oauth_provider, oauth_id)
            values (new_account, new_user, lower(verified_address), full_name, provider, subject);
        outcome := 'registered';
        of_user := new_user;
        return;
    end if;
    if not person.is_active then
        outcome := 'deactivated';
        return;
    end if;
    if person.oauth_provider is not null then
        outcome := 'linked_elsewhere';
        return;
    end if;
    update users u set oauth_provider = provider, oauth_id = subject, password_hash = null
        where u.id = person.id;
    update sign_ins s set revoked_at = clock_timestamp()
        where s.user_id = person.id and s.revoked_at is null;
    update api_keys k set revoked_at = clock_timestamp()
        where k.owner_id = person.id and k.revoked_at is null;
    get diagnostics keys_revoked = row_count;
    insert into audit_log (account_id, id, actor_id, action, object_kind, object_id, details)
        values (person.account_id, gen_random_uuid(), person.id, 'user.linked', 'user', person.id,
            jsonb_build_object('provider', provider, 'password_dropped', person.password_hash is not null,
                'api_keys_revoked', keys_revoked));
    outcome := 'linked';
    of_user := person.id;
end $$;

revoke all on function auth_oidc from public;
grant execute on function auth_oidc to aftercall_api;
