-- Failed sign-ins and registrations, counted for all processes together.
--
-- `throttles` belongs to no tenant: a row stands for an e-mail address or a network address that may
-- belong to nobody here. Its subject is a hash keyed with SECRET_KEY, so that the table tells neither.

create table throttles (
    subject bytea constraint throttles_pkey primary key
        constraint throttles_subject_length check (length(subject) = 32),
    -- In the present streak.
    attempts integer not null default 1 constraint throttles_attempts_count check (attempts > 0),
    -- The first of them.
    since timestamptz not null default now(),
    -- Until then nobody may try again. Null while there were few.
    blocked_until timestamptz
);

alter table throttles enable row level security;
alter table throttles force row level security;
create policy throttles_owner on throttles to aftercall_owner using (true) with check (true);
create policy throttles_maintenance on throttles to aftercall_maintenance using (true);
grant select (since, blocked_until), delete on throttles to aftercall_maintenance;

-- How long whoever any of these stands for has to wait, and whether anything is counted for the first.
create function auth_wait(subjects bytea[], out wait_s integer, out is_counted boolean)
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select greatest(coalesce(ceil(extract(epoch from max(blocked_until) - now())), 0), 0)::integer,
            coalesce(bool_or(subject = subjects[1]), false)
        from throttles where subject = any (subjects);
    end;

-- Counts one attempt for each. A streak ends when nothing was counted for as long as the window, after
-- the last wait if there was one. From `free` attempts on, each doubles the wait.
create function auth_count(
    subjects bytea[], free integer, window_s integer, first_wait_s integer, longest_wait_s integer
) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, public
as $$
declare
    streak_start constant timestamptz := now() - make_interval(secs => window_s);
begin
    -- In one order, so that two of these cannot wait for each other.
    insert into throttles as t (subject) select s from unnest(subjects) as s order by s
        on conflict (subject) do update set
            attempts = case when coalesce(t.blocked_until, t.since) < streak_start
                then 1 else least(t.attempts, 1000000) + 1 end,
            since = case when coalesce(t.blocked_until, t.since) < streak_start
                then now() else t.since end,
            blocked_until = case when coalesce(t.blocked_until, t.since) < streak_start
                then null else t.blocked_until end;
    update throttles set blocked_until = now() + make_interval(secs =>
            least(longest_wait_s, first_wait_s * power(2, least(attempts - free, 30))))
        where subject = any (subjects) and attempts >= free;
end $$;

create function auth_forget(forgotten bytea) returns void
    language sql volatile security definer set search_path = pg_catalog, public
    begin atomic
        delete from throttles where subject = forgotten;
    end;

-- Replaces a hash that is outdated, unless the password was changed meanwhile.
create function auth_replace_hash(of_user uuid, old_hash text, new_hash text) returns void
    language sql volatile security definer set search_path = pg_catalog, public
    begin atomic
        update users set password_hash = new_hash where id = of_user and password_hash = old_hash;
    end;

revoke all on function auth_wait, auth_count, auth_forget, auth_replace_hash from public;
grant execute on function auth_wait, auth_count, auth_forget, auth_replace_hash to aftercall_api;
