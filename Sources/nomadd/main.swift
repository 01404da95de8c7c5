import Agent
import Glibc

let words = Array(CommandLine.arguments.dropFirst())
let recover = ["operator", "raft", "recover"]
if words.starts(with: recover) { exit(runRecover(arguments: Array(words.dropFirst(recover.count)))) }
exit(runAgent(arguments: words))
