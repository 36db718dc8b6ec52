-- People and clinics: who may make and change them, what of them others see, and a log that nobody edits.

-- A clinic is an account. Admins make and rename them; everybody in one sees its row (accounts_own).
create policy clinics_add on accounts for insert to aftercall_api
    with check (app_everywhere() and kind = 'clinic');
create policy clinics_change on accounts for update to aftercall_api
    using (app_role() = 'admin' and kind = 'clinic' and (app_everywhere() or id = any (app_accounts())))
    with check (app_role() = 'admin' and kind = 'clinic' and (app_everywhere() or id = any (app_accounts())));
grant insert (id, kind, name), update (name) on accounts to aftercall_api;
create index accounts_clinics on accounts (id) where kind = 'clinic';

-- Users have no grants to write: what follows is the only way. It runs as the owner and therefore asks
-- for itself who acts. Refusals carry the name of a rule as their constraint, as those of a table do.

-- Whoever commits last without an admin left is refused: the lock lets one such change at a time look.
create function keep_an_admin() returns trigger
    language plpgsql
as $$
begin
    perform pg_advisory_xact_lock(hashtext('aftercall last admin'));
    if not exists (select from users u where u.role = 'admin' and u.is_active) then
        raise exception 'nobody would be an admin any more'
            using errcode = '23514', constraint = 'users_last_admin';
    end if;
    return null;
end $$;
create trigger users_keep_an_admin after update of role, is_active on users for each row
    when (old.role = 'admin' and old.is_active and not (new.role = 'admin' and new.is_active))
    execute function keep_an_admin();
create trigger users_keep_an_admin_undeleted after delete on users for each row
    when (old.role = 'admin' and old.is_active)
    execute function keep_an_admin();

-- Makes a user with a personal account. Without a hash they sign in elsewhere, or not at all.
create function add_person(
    new_id uuid, personal uuid, address text, full_name text, new_role text, clinic uuid, hash text
) returns void
    language plpgsql volatile
as $$
begin
    if clinic is not null and not exists (select from accounts a where a.id = clinic and a.kind = 'clinic') then
        raise exception 'not a clinic' using errcode = '23503', constraint = 'users_clinic_fkey';
    end if;
    insert into accounts (id, kind) values (personal, 'personal');
    insert into users (account_id, id, email, name, role, clinic_id, password_hash)
        values (personal, new_id, lower(address), full_name, new_role, clinic, hash);
end $$;

-- The same on behalf of somebody: admins make everybody, managers counsellors of their own clinic.
create function create_person(
    new_id uuid, personal uuid, address text, full_name text, new_role text, clinic uuid, hash text
) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
begin
    if app_role() is distinct from 'admin'
        and not (app_role() is not distinct from 'manager' and new_role = 'counselor') then
        raise exception 'not allowed' using errcode = '42501', constraint = 'users_role_needed';
    end if;
    if not app_everywhere() then
        -- Whoever acts in one account makes people of that one.
        clinic := coalesce(clinic, app_account());
        if clinic <> app_account() then
            raise exception 'another clinic' using errcode = '23503', constraint = 'users_clinic_fkey';
        end if;
    end if;
    perform add_person(new_id, personal, address, full_name, new_role, clinic, hash);
end $$;

-- Writes what changes; null leaves a field as it is, the clinic changes where `moves`. Whoever is
-- deactivated, gets another role or another password is signed out everywhere but at `kept_sign_in`.
create function set_person(
    was users, new_email text default null, new_name text default null, new_role text default null,
    moves boolean default false, new_clinic uuid default null, new_active boolean default null,
    new_hash text default null, kept_sign_in uuid default null
) returns users
    language plpgsql volatile
as $$
declare
    person users;
begin
    if moves and new_clinic is not null
        and not exists (select from accounts a where a.id = new_clinic and a.kind = 'clinic') then
        raise exception 'not a clinic' using errcode = '23503', constraint = 'users_clinic_fkey';
    end if;
    update users u set
        email = coalesce(lower(new_email), u.email),
        name = coalesce(new_name, u.name),
        role = coalesce(new_role, u.role),
        clinic_id = case when moves then new_clinic else u.clinic_id end,
        is_active = coalesce(new_active, u.is_active),
        password_hash = coalesce(new_hash, u.password_hash)
        where u.id = was.id returning u.* into person;
    if (was.is_active and not person.is_active) or was.role <> person.role or new_hash is not null then
        update sign_ins s set revoked_at = clock_timestamp()
            where s.user_id = was.id and s.revoked_at is null and s.id is distinct from kept_sign_in;
    end if;
    return person;
end $$;

-- The same on behalf of somebody; answers the person before and after, or no row where the principal
-- does not see them. A value that a field has already is no change, so that what was read can be sent
-- back. `old_hash` is what one's own present password was verified against.
create function change_person(
    given uuid, new_email text, new_name text, new_role text, moves boolean, new_clinic uuid,
    new_active boolean, new_hash text, old_hash text, kept_sign_in uuid
) returns table (
    id uuid, account_id uuid, email text, name text, role text, clinic_id uuid, is_active boolean,
    oauth_provider text, created_at timestamptz,
    old_email text, old_name text, old_role text, old_clinic_id uuid, old_active boolean
)
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
declare
    was users;
    is_self boolean;
    manages boolean;
begin
    select u.* into was from users u where u.id = given for no key update;
    if was.id is null or app_role() is null or not (was.id = app_user() or app_everywhere()
        or (app_oversees() and coalesce(was.clinic_id = any (app_accounts()), false))) then
        return;
    end if;
    is_self := was.id = app_user();
    manages := app_role() = 'manager' and was.role = 'counselor' and not is_self;
    moves := moves and new_clinic is distinct from was.clinic_id;
    -- A field that is left out is null, and so is its comparison, which refuses nothing.
    if app_role() <> 'admin' and (
        lower(new_email) <> was.email
        or new_role <> was.role
        or (moves and not (manages and new_clinic is null))
        or (new_active <> was.is_active and not manages)
        or (new_name <> was.name and not (is_self or manages))
        or (new_hash is not null and not is_self)
    ) then
        raise exception 'not allowed' using errcode = '42501', constraint = 'users_role_needed';
    end if;
    if moves and new_clinic is not null and not app_everywhere() and new_clinic <> all (app_accounts()) then
        raise exception 'another clinic' using errcode = '23503', constraint = 'users_clinic_fkey';
    end if;
    -- Whoever has somebody's token does not get their account by it.
    if new_hash is not null and is_self and (old_hash is null or was.password_hash is distinct from old_hash) then
        raise exception 'not the present password'
            using errcode = '42501', constraint = 'users_present_password';
    end if;
    return query
        select p.id, p.account_id, p.email, p.name, p.role, p.clinic_id, p.is_active, p.oauth_provider,
            p.created_at, was.email, was.name, was.role, was.clinic_id, was.is_active
        from set_person(was, new_email, new_name, new_role, moves, new_clinic, new_active, new_hash,
            case when is_self then kept_sign_in end) p;
end $$;

-- The counsellor of a session that the principal sees, also when they have left the clinic since. The
-- rule is that of the policy sessions_visible, which does not bind the owner.
create policy sessions_owner on sessions for select to aftercall_owner using (true);
create function session_counselor(of_session uuid) returns table (id uuid, name text, email text)
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select u.id, u.name, u.email from sessions s join users u on u.id = s.owner_id
        where s.id = of_session and s.erased_at is null and app_client() is null
            and (app_everywhere() or s.account_id = any (app_accounts()))
            and (app_oversees() or s.owner_id = app_user());
    end;

-- The audit log: append-only for everybody, its owner and administrators included.
create function refuse_change() returns trigger
    language plpgsql
as $$
begin
    raise exception 'the audit log is only added to' using errcode = '42501';
end $$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function refuse_change();

-- Lists are newest first: of an account, of an actor in it, of everything.
drop index audit_log_newest;
create index audit_log_newest on audit_log (at desc, id desc);
create index audit_log_by_account on audit_log (account_id, at desc, id desc);
create index audit_log_by_actor on audit_log (account_id, actor_id, at desc, id desc);

-- The names of those who acted, for who reads the log: they need not be of the reader's account. The
-- rule is that of the policy audit_log_read.
create policy audit_log_owner_reads on audit_log for select to aftercall_owner using (true);
create function audit_actors(ids uuid[]) returns table (id uuid, name text)
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select u.id, u.name from users u
        where u.id = any (ids) and app_oversees() and app_role() is not null
            and (app_everywhere() or exists (
                select from unnest(app_accounts()) a (account)
                join audit_log l on l.account_id = a.account and l.actor_id = u.id));
    end;

revoke all on function keep_an_admin, add_person, create_person, set_person, change_person,
    session_counselor, refuse_change, audit_actors from public;
grant execute on function create_person, change_person, session_counselor, audit_actors to aftercall_api;
