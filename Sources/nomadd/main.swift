import Agent
import Glibc

exit(runAgent(arguments: Array(CommandLine.arguments.dropFirst())))
