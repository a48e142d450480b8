#!/usr/bin/env escript
%% Runs scenarios with OTP's own supervisor: one line of what it did for each line of the file. See otp_test.cpp.
-module(otp).
-mode(compile).
-export([main/1, init/1, start/2]).

main([File]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    {ok, Text} = file:read_file(File),
    lists:foldl(fun run/2, none, string:lexemes(binary_to_list(Text), "\n")).

run(Line, Sup) ->
    Words = [list_to_atom(W) || W <- string:lexemes(Line, " ")],
    {Answer, Next} = step(Words, Sup),
    Did = settle(),
    Ended = Next =/= none andalso not is_process_alive(Next),
    io:format("~s~s~s~s~n", [Answer, Did, case Ended of true -> "ended "; false -> "" end, children(Next, Ended)]),
    case Ended of true -> none; false -> Next end.

step([supervisor, Strategy, Intensity, Auto | Children], Old) ->
    case Old of none -> ok; _ -> exit(Old, kill), gone(Old) end,
    settle(),
    Flags = #{strategy => Strategy, intensity => list_to_integer(atom_to_list(Intensity)), period => 100000, auto_shutdown => Auto},
    {ok, Sup} = supervisor:start_link(?MODULE, {Flags, [spec(C, self()) || C <- Children]}),
    {"", Sup};
step(_, none) -> {"", none};
step([crash, Id], Sup) -> {die(Id, crashed, Sup), Sup};
step([exit, Id], Sup) -> {die(Id, normal, Sup), Sup};
step([terminate, Id], Sup) -> {answer(supervisor:terminate_child(Sup, Id)), Sup};
step([restart, Id], Sup) -> {answer(supervisor:restart_child(Sup, Id)), Sup};
step([delete, Id], Sup) -> {answer(supervisor:delete_child(Sup, Id)), Sup};
step([start, Child], Sup) -> {answer(supervisor:start_child(Sup, spec(Child, self()))), Sup};
step([stop], Sup) -> exit(Sup, shutdown), gone(Sup), {"", Sup}.

answer(ok) -> "ok ";
answer({ok, _}) -> "ok ";
answer({error, {already_started, _}}) -> "already_started ";
answer({error, Why}) when is_atom(Why) -> atom_to_list(Why) ++ " ";
answer({error, _}) -> "invalid ".

die(Id, Why, Sup) ->
    case lists:keyfind(Id, 1, supervisor:which_children(Sup)) of
        {Id, Pid, _, _} when is_pid(Pid) -> Pid ! {die, Why}, gone(Pid), "";
        _ -> ""
    end.

gone(Pid) ->
    Monitor = monitor(process, Pid),
    receive {'DOWN', Monitor, process, Pid, _} -> ok end.

%% All that was done until nothing happens any more.
settle() ->
    receive
        {did, What, Id} -> atom_to_list(What) ++ " " ++ atom_to_list(Id) ++ " " ++ settle();
        {'EXIT', _, _} -> settle()
    after 4 -> ""
    end.

children(none, _) -> "";
children(_, true) -> "";
children(Sup, false) ->
    %% Newest first.
    [[atom_to_list(Id), case Pid of _ when is_pid(Pid) -> "+"; _ -> "-" end] || {Id, Pid, _, _} <- lists:reverse(supervisor:which_children(Sup))].

%% a, a:transient, a:temporary:sig ...
spec(Child, Log) ->
    [Id | Words] = [list_to_atom(W) || W <- string:lexemes(atom_to_list(Child), ":")],
    Restart = case [W || W <- Words, W =/= sig] of [W] -> W; [] -> permanent end,
    #{id => Id, start => {?MODULE, start, [Id, Log]}, restart => Restart, significant => lists:member(sig, Words)}.

init(Args) -> {ok, Args}.

start(Id, Log) ->
    Log ! {did, start, Id},
    {ok, spawn_link(fun() ->
        process_flag(trap_exit, true),
        receive
            {die, Why} -> exit(Why);
            {'EXIT', _, shutdown} -> Log ! {did, stop, Id}, exit(shutdown)
        end
    end)}.
