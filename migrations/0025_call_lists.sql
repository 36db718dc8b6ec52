-- Lists of calls stop at their limit. The principal is read once a statement rather than once a row, and
-- the planner guesses half for a subquery that is hashed; for `<> all` of an array it guessed that nothing
-- would be left, and read the whole table instead of the newest rows of an index.
alter policy calls_visible on calls
    using (((select app_client()) is null or client_id = (select app_client()))
        and ((select app_everywhere()) or account_id = any ((select app_accounts())::uuid[]))
        and client_id not in (select e.client_id from erasure_calls e where e.call_id is null
            and e.made_before is null and e.state in ('requested', 'settling'))
        and (client_id, id) not in (select e.client_id, e.call_id from erasure_calls e
            where e.call_id is not null and e.made_before is null and e.state in ('requested', 'settling')));
