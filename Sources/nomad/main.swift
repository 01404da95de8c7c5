import Glibc

let words = Array(CommandLine.arguments.dropFirst())
if words.first == "agent" { replaceProcess(byNeighbour: "nomadd", arguments: Array(words.dropFirst())) }
let dispatcher = Dispatcher(
  commands: Dispatcher.everything,
  console: Console(isLive: true, input: { readLine() }), environment: environment, transport: exchangeOverTCP)
exit(dispatcher.run(words))
