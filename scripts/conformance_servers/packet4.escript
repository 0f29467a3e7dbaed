#!/usr/bin/env escript
%% An echo of 4-byte length-prefixed frames; {packet, 4} does the framing.  usage: packet4.escript PORT

main([Port]) ->
    {ok, Listener} = gen_tcp:listen(list_to_integer(Port),
        [binary, {packet, 4}, {packet_size, 1048576}, {active, false}, {nodelay, true},
         {reuseaddr, true}, {backlog, 1024}, {ip, {127, 0, 0, 1}}]),
    accept(Listener).

accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Echo = spawn(fun() -> receive start -> echo(Socket) end end),
    ok = gen_tcp:controlling_process(Socket, Echo),
    Echo ! start,
    accept(Listener).

echo(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Payload} ->
            case gen_tcp:send(Socket, Payload) of
                ok -> echo(Socket);
                {error, _} -> gen_tcp:close(Socket)
            end;
        {error, _} -> gen_tcp:close(Socket)
    end.
