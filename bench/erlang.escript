#!/usr/bin/env escript
%% What Erlang takes for the same: prints one number. Erlang's processes share one process of the system.
%%
%%     escript erlang.escript restart | kill   microseconds from a crash, or a kill, until the supervisor's new child runs: the median
%%     escript erlang.escript waiters          milliseconds from a kill until the last of 100 monitors is told: of 100 the next to longest
-module(erlang_peer).
-mode(compile).
-behaviour(gen_server).
-export([main/1, init/1, start_link/1, handle_cast/2, handle_call/3]).

main([What]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    Numbers = lists:sort(case What of
        "restart" -> restarts(fun() -> gen_server:cast(phoenix, crash) end);
        "kill" -> restarts(fun() -> exit(whereis(phoenix), kill) end);
        "waiters" -> [last_told() || _ <- lists:seq(1, 100)]
    end),
    Place = case What of "waiters" -> 99; _ -> length(Numbers) div 2 end,
    Unit = case What of "waiters" -> 1.0e6; _ -> 1.0e3 end,
    io:format("~f~n", [lists:nth(Place, Numbers) / Unit]).

now_ns() -> erlang:monotonic_time(nanosecond).

%% One supervisor with one child that says when it is there.
restarts(End) ->
    Flags = #{strategy => one_for_one, intensity => 1000000, period => 1},
    {ok, Sup} = supervisor:start_link(?MODULE, {supervisor, Flags, self()}),
    born(),
    Times = [begin timer:sleep(1), Begin = now_ns(), End(), born() - Begin end || _ <- lists:seq(1, 500)],
    exit(Sup, shutdown),
    Times.

born() -> receive {born, At} -> At end.

init({supervisor, Flags, Prober}) -> {ok, {Flags, [#{id => phoenix, start => {?MODULE, start_link, [Prober]}}]}};
init({phoenix, Prober}) -> Prober ! {born, now_ns()}, {ok, none}.

start_link(Prober) -> gen_server:start_link({local, phoenix}, ?MODULE, {phoenix, Prober}, []).
handle_cast(crash, _) -> error(on_purpose).
handle_call(_, _, State) -> {reply, ok, State}.

last_told() ->
    Self = self(),
    Victim = spawn(fun() -> receive never -> ok end end),
    Waiters = [spawn(fun() ->
        Monitor = monitor(process, Victim),
        Self ! watching,
        receive {'DOWN', Monitor, process, Victim, _} -> Self ! {told, now_ns()} end
    end) || _ <- lists:seq(1, 100)],
    [receive watching -> ok end || _ <- Waiters],
    timer:sleep(2),
    Begin = now_ns(),
    exit(Victim, kill),
    lists:max([receive {told, At} -> At end || _ <- Waiters]) - Begin.
