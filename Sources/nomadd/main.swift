import Agent
import Glibc

let words = Array(CommandLine.arguments.dropFirst())
let commands: [(words: [String], run: ([String]) -> Int32)] = [
  (["operator", "raft", "recover"], runRecover), (["operator", "discover"], runDiscover),
]
for command in commands where words.starts(with: command.words) {
  exit(command.run(Array(words.dropFirst(command.words.count))))
}
exit(runAgent(arguments: words))
