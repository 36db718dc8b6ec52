-- What the analyses of a session have cost is for whoever sees the session; what models said is not.
create policy model_requests_visible on model_requests for select to aftercall_api
    using (exists (select from sessions s
        where s.account_id = model_requests.account_id and s.id = session_id));
grant select (account_id, session_id, input_tokens, output_tokens, amount_micros, currency)
    on model_requests to aftercall_api;
