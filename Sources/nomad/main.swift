import Glibc

let words = Array(CommandLine.arguments.dropFirst())
if words.first == "agent" { replaceProcess(byNeighbour: "nomadd", arguments: Array(words.dropFirst())) }
// It works on files of the agent, so the agent's program does it.
if words.starts(with: ["operator", "raft", "recover"]) { replaceProcess(byNeighbour: "nomadd", arguments: words) }
let dispatcher = Dispatcher(
  commands: Dispatcher.everything,
  console: Console(isLive: true, input: { readLine() }), environment: environment, transport: exchangeOverTCP)
exit(dispatcher.run(words))
