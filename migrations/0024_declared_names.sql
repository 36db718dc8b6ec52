-- Names that a session declares, and who reads what was said as it was said.

-- The people in it whom neither its customer nor its counsellor is.
alter table sessions add column declared_names text[] not null default '{}'
    constraint sessions_declared_names_few check (cardinality(declared_names) <= 50);
grant update (declared_names) on sessions to aftercall_api;

-- Names to redact, in the order of their placeholders: the customer, the counsellor, whoever called, and
-- those that the session declares. For whoever sees the session (the rule is that of the policy
-- sessions_visible, which does not bind the owner), and for the analysis worker, which sends text to
-- language models and otherwise reads neither customers nor users.
create function session_names(of_session uuid) returns table (name text)
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select n.name
        from sessions s, lateral (
            select 1, 0::bigint, c.name from customers c
                where c.account_id = s.account_id and c.id = s.customer_id
            union all select 2, 0, u.name from users u where u.id = s.owner_id
            union all select 3, 0, k.record::json ->> 'caller_name' from calls k
                where k.account_id = s.account_id and k.client_id = s.client_id and k.id = s.call_id
            union all select 4, d.at, d.name from unnest(s.declared_names) with ordinality d (name, at)
        ) n (place, at, name)
        where s.id = of_session and s.erased_at is null and n.name is not null
            and (current_setting('role') = 'aftercall_analysis'
                or (app_client() is null
                    and (app_everywhere() or s.account_id = any (app_accounts()))
                    and (app_oversees() or s.owner_id = app_user())))
        order by n.place, n.at;
    end;

-- Whether the principal, who sees a session of this owner, reads it as it was said: a person who acts in
-- its account, never a key, and an admin who looks at all accounts at once only where it is their own.
create function app_reads_originals(owner uuid) returns boolean
    language sql stable
    return app_role() is not null and (owner = app_user() or not app_everywhere());

revoke all on function session_names, app_reads_originals from public;
grant execute on function session_names to aftercall_api, aftercall_analysis;
grant execute on function app_reads_originals to aftercall_api;
