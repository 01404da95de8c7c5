import Base
import HTTP

/// One command: its words, what it says about itself, and what it does.
struct Command {
  /// `["server", "members"]`
  let words: [String]
  let synopsis: String
  /// Words behind the command in its usage line: `[options] <node>`.
  let usage: String
  /// Paragraphs of the help text.
  let help: String
  /// Its own options; those that every API command has are added to these.
  var options: [Option] = []
  /// False for commands that never talk to an agent.
  var usesAPI = true
  /// Old spellings and internal commands do not appear in help texts.
  var isHidden = false
  /// The present spelling of a deprecated command: a warning is printed.
  var replacedBy: [String]?
  /// Commands of one family prefix option errors with `Failed to parse args: `.
  var prefixesFlagErrors = false
  /// The name in "For additional help try ..."; differs from the words for some old commands.
  var canonicalName: String?
  let run: (inout Invocation) -> Int32

  struct Option {
    let name: String
    let kind: Flags.Kind
    /// `<url>`; empty for booleans.
    let value: String
    let help: String

    init(_ name: String, _ kind: Flags.Kind = .bool, _ value: String = "", _ help: String) {
      self.name = name
      self.kind = kind
      self.value = value
      self.help = help
    }
  }

  var name: String { words.joined(separator: " ") }

  /// Options of every command that talks to the API (cli.md section 1.1).
  static let general: [Option] = [
    Option("address", .string, "<url>", "The agent to ask. Overrides NOMAD_ADDR. Default: \(Address.default)"),
    Option("region", .string, "<region>", "The region to forward to. Overrides NOMAD_REGION."),
    Option("namespace", .string, "<namespace>", "The namespace to ask in. Overrides NOMAD_NAMESPACE."),
    Option("token", .string, "<secret>", "The token to authenticate with. Overrides NOMAD_TOKEN."),
    Option("no-color", help: "No colours. Overrides NOMAD_CLI_NO_COLOR."),
    Option("ca-cert", .string, "<path>", "Certificate authority to check the agent with. Overrides NOMAD_CACERT."),
    Option("ca-path", .string, "<path>", "Directory of certificate authorities. Overrides NOMAD_CAPATH."),
    Option("client-cert", .string, "<path>", "Client certificate. Overrides NOMAD_CLIENT_CERT."),
    Option("client-key", .string, "<path>", "Key of the client certificate. Overrides NOMAD_CLIENT_KEY."),
    Option("tls-server-name", .string, "<name>", "Name to expect in the certificate. Overrides NOMAD_TLS_SERVER_NAME."),
    Option("tls-skip-verify", help: "Do not check the certificate. Overrides NOMAD_SKIP_VERIFY."),
    Option("insecure", help: "Alias of -tls-skip-verify."),
  ]

  /// Its own options and those of every API command; `-t` goes with `-json`.
  var allOptions: [Option] { ownOptions + (usesAPI ? Self.general : []) }

  private var ownOptions: [Option] {
    guard options.contains(where: { $0.name == "json" }), !Self.withoutTemplate.contains(name) else { return options }
    return options + [Option("t", .string, "<template>", "Print through a Go template.")]
  }

  private static let withoutTemplate: Set<String> = ["monitor", "status"]

  /// The whole help text.
  var helpText: String {
    var text = "Usage: nomad \(name)\(usage.isEmpty ? "" : " " + usage)\n\n"
    text += help.split(separator: "\n", omittingEmptySubsequences: false).map { $0.isEmpty ? "" : "  " + $0 }
      .joined(separator: "\n")
    // -namespace is accepted everywhere and listed nowhere.
    let listed = Self.general.filter { $0.name != "namespace" && $0.name != "insecure" }
    if usesAPI { text += "\n\nGeneral Options:\n\n" + Self.describe(listed) }
    if !options.isEmpty { text += "\n\n\(title) Options:\n\n" + Self.describe(ownOptions) }
    return text
  }

  private var title: String { words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined(separator: " ") }

  private static func describe(_ options: [Option]) -> String {
    options.map { option in
      let head = "  -" + option.name + (option.value.isEmpty ? "" : "=" + option.value)
      let body = wrapped(option.help, at: 72).split(separator: "\n").map { "    " + $0 }.joined(separator: "\n")
      return head + "\n" + body
    }.joined(separator: "\n\n")
  }
}

extension Command.Option {
  init(_ name: String, help: String) { self.init(name, .bool, "", help) }
}

/// A command while it runs.
struct Invocation {
  let command: Command
  let console: Console
  let environment: (String) -> String?
  let transport: Transport
  private(set) var flags: Flags

  var arguments: [String] { flags.arguments }

  init(
    _ command: Command, flags: Flags, console: Console, environment: @escaping (String) -> String?,
    transport: @escaping Transport
  ) {
    self.command = command
    self.flags = flags
    self.console = console
    self.environment = environment
    self.transport = transport
  }

  /// Prints an error; the exit code of every failure is 1.
  func fail(_ text: String) -> Int32 {
    console.error(text)
    return 1
  }

  /// A wrong use of the command: the message and where to find help.
  func misuse(_ text: String) -> Int32 {
    console.error(text)
    console.error("For additional help try 'nomad \(command.canonicalName ?? command.name) -help'")
    return 1
  }

  /// The API of the agent that options and environment name; `nil` after an error message.
  func client() -> APIClient? {
    func setting(_ option: String, _ variable: String) -> String {
      flags.string(option) ?? environment(variable) ?? ""
    }
    let url = setting("address", "NOMAD_ADDR")
    let hasCertificate = !setting("client-cert", "NOMAD_CLIENT_CERT").isEmpty
    if hasCertificate != !setting("client-key", "NOMAD_CLIENT_KEY").isEmpty {
      console.error("Error initializing client: Both client cert and client key must be provided")
      return nil
    }
    do throws(Address.Failure) {
      var client = APIClient(address: try Address(url.isEmpty ? Address.default : url), transport: transport)
      client.region = setting("region", "NOMAD_REGION")
      client.namespace = setting("namespace", "NOMAD_NAMESPACE")
      client.token = setting("token", "NOMAD_TOKEN")
      client.credentials = environment("NOMAD_HTTP_AUTH") ?? ""
      return client
    } catch {
      console.error("Error initializing client: invalid address '\(url)': \(error.text)")
      return nil
    }
  }

  /// True when the value is wanted as it is instead of as a table.
  var wantsData: Bool { flags.bool("json") || flags.isGiven("t") }

  /// Prints a value as `-json` (names sorted, 4 spaces) or `-t` show it; returns the exit code.
  func printData(_ value: JSONValue) -> Int32 {
    guard let template = flags.string("t") else {
      console.print(value.sorted.text(pretty: true), terminator: "")
      return 0
    }
    if flags.bool("json") { return fail("Both json and template formatting are not allowed") }
    do throws(TemplateError) {
      console.print(try Template(template).text(value))
      return 0
    } catch {
      return fail("template: format:1: \(error.text)")
    }
  }
}

/// Shows members of JSON objects as text.
extension JSONValue {
  func text(_ name: String) -> String {
    switch self[name] {
    case .string(let text)?: text
    case .null?, nil: ""
    case let value?: value.text()
    }
  }

  func flag(_ name: String) -> Bool { self[name]?.bool ?? false }
  func rows(_ name: String) -> [JSONValue] { self[name]?.array ?? [] }
  func members(_ name: String) -> [JSONObject.Member] { self[name]?.object?.sorted.members ?? [] }
}
