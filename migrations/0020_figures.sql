-- Figures read thousands of rollups at a time. What the principal sees is found out once a statement
-- (a subquery is), not again for every row, which cost more than summing them up.
alter policy call_rollups_visible on call_rollups
    using (((select app_client()) is null or client_id = (select app_client()))
        and ((select app_everywhere()) or account_id = any ((select app_accounts())::uuid[])));
alter policy call_latencies_visible on call_latencies
    using (((select app_client()) is null or client_id = (select app_client()))
        and ((select app_everywhere()) or account_id = any ((select app_accounts())::uuid[])));
