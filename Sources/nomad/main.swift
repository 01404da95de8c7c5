import Glibc

let words = Array(CommandLine.arguments.dropFirst())
if words.first == "agent" { replaceProcess(byNeighbour: "nomadd", arguments: Array(words.dropFirst())) }
// They work on files of the agent, and with its resolver, so the agent's program does it.
for command in [["operator", "raft", "recover"], ["operator", "discover"]] where words.starts(with: command) {
  replaceProcess(byNeighbour: "nomadd", arguments: words)
}
let dispatcher = Dispatcher(
  commands: Dispatcher.everything,
  console: Console(isLive: true, input: { readLine() }), environment: environment, transport: exchangeOverTCP)
exit(dispatcher.run(words))
