-- Voice agents over NATS: the broker lets an agent publish for one client only, and the ingress needs that
-- client's account.

create policy clients_agents on clients for select to aftercall_owner using (true);

-- The account of a client that was not erased; before anybody is known.
create function auth_find_client(given uuid) returns uuid
    language sql stable security definer set search_path = pg_catalog, public
    begin atomic
        select c.account_id from clients c where c.id = given and c.erased_at is null;
    end;

revoke all on function auth_find_client from public;
grant execute on function auth_find_client to aftercall_api;
