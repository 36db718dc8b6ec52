-- Whoever gives a speaker a name in a correction has told whose name is to be redacted: it stands in what
-- is said as well.
-- They stay with the session, since the generation that gave them may be gone before those that have them.
alter table sessions add column speaker_names text[] not null default '{}';
grant update (speaker_names) on sessions to aftercall_api;
update sessions s set speaker_names = array(
    select distinct renamed ->> 'to'
    from transcripts t, jsonb_array_elements(t.changes -> 'speakers') renamed
    where t.account_id = s.account_id and t.session_id = s.id)
where exists (select from transcripts t
    where t.account_id = s.account_id and t.session_id = s.id and t.changes is not null);

drop function session_names(uuid);

-- Names to redact, in the order of their placeholders: the customer, the counsellor, whoever called, those
-- that the session declares, and those that corrections gave to speakers. For whoever sees the session (the
-- rule is that of the policy sessions_visible, which does not bind the owner), and for the analysis worker,
-- which sends text to language models and otherwise reads neither customers nor users.
create function session_names(of_session uuid) returns table (name text, of_speaker boolean)
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select n.name, n.place = 5
        from sessions s, lateral (
            select 1, 0::bigint, c.name from customers c
                where c.account_id = s.account_id and c.id = s.customer_id
            union all select 2, 0, u.name from users u where u.id = s.owner_id
            union all select 3, 0, k.record::json ->> 'caller_name' from calls k
                where k.account_id = s.account_id and k.client_id = s.client_id and k.id = s.call_id
            union all select 4, d.at, d.name from unnest(s.declared_names) with ordinality d (name, at)
            union all select 5, g.at, g.name from unnest(s.speaker_names) with ordinality g (name, at)
        ) n (place, at, name)
        where s.id = of_session and s.erased_at is null and n.name is not null
            and (current_setting('role') = 'aftercall_analysis'
                or (app_client() is null
                    and (app_everywhere() or s.account_id = any (app_accounts()))
                    and (app_oversees() or s.owner_id = app_user())))
        order by n.place, n.at;
    end;
revoke all on function session_names from public;
grant execute on function session_names to aftercall_api, aftercall_analysis;
