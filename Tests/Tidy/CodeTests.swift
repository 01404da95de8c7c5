import Foundation
import Testing

@Suite struct CodeTests {
  static let maximumLines = 600
  static let maximumColumns = 120

  /// Folders and files that may hold unsafe code; everything else is checked by the compiler alone.
  static let unsafePlaces = [
    "Sources/Base/RawBytes.swift", "Sources/Wire/MessagePack/MessagePackWriter.swift", "Sources/Reactor/",
    "Sources/Durable/", "Sources/Security/", "Sources/Telemetry/",
    "Sources/HTTP/", "Sources/nomad/", "Sources/nomad-bench/", "Sources/Agent/",
    "Sources/Harness/", "Sources/Archive/Gzip.swift",
  ]

  @Test func nothingInSourcesTrapsOnPurpose() {
    let banned = [#"\btry!"#, #"\bfatalError\("#, #"\bas!"#, #"\bnonisolated\(unsafe\)"#]
    for pattern in banned {
      let found = SourceTree.offences(SourceTree.sources) {
        $0.range(of: pattern, options: .regularExpression) != nil
      }
      #expect(found.isEmpty, "\(pattern): \(found.joined(separator: "\n"))")
    }
  }

  @Test func unsafeCodeStaysWhereItBelongs() {
    let files = SourceTree.sources.filter { file in !Self.unsafePlaces.contains { file.path.hasPrefix($0) } }
    let found = SourceTree.offences(files) {
      $0.range(of: #"(^|[^\w."])unsafe\s+[\w(\[{!&]"#, options: .regularExpression) != nil || $0.contains("@unsafe")
        || $0.contains("@unchecked Sendable")
    }
    #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
  }

  /// Neither clocks nor randomness of the process below the shell: the simulator must be able to repeat every run.
  @Test func machinesAreDeterministic() {
    let shells: Set<String> = [
      "Reactor", "Durable", "Telemetry", "Agent", "Configuration", "nomadd", "nomad", "nomad-bench",
      "Harness",
    ]
    let banned = [
      "SystemRandomNumberGenerator", "ContinuousClock", "SuspendingClock", "Date()", "Date.now", "UUID()",
      ".shuffled()", ".randomElement()", ".hashValue",
    ]
    let files = SourceTree.sources.filter { !shells.contains($0.module) }
    for word in banned {
      let found = SourceTree.offences(files) { $0.contains(word) }
      #expect(found.isEmpty, "\(word): \(found.joined(separator: "\n"))")
    }
    let random = SourceTree.offences(files) {
      $0.range(of: #"\.random\(in:[^)]*\)"#, options: .regularExpression) != nil && !$0.contains("using:")
    }
    #expect(random.isEmpty, "\(random.joined(separator: "\n"))")
  }

  @Test func noFileOrLineIsTooLong() {
    for file in SourceTree.sources + SourceTree.tests {
      #expect(file.lines.count <= Self.maximumLines + 1, "\(file.path) has \(file.lines.count) lines")
      for (number, line) in file.lines.enumerated() where line.count > Self.maximumColumns {
        Issue.record("\(file.path):\(number + 1) has \(line.count) columns")
      }
    }
  }

  @Test func noBlankEndsAndNoTabs() {
    for file in SourceTree.sources + SourceTree.tests {
      for (number, line) in file.lines.enumerated() where line.hasSuffix(" ") || line.contains("\t") {
        Issue.record("\(file.path):\(number + 1) ends in a blank or holds a tab")
      }
    }
  }

  /// What is published stands alone: it names no place of the machine it was written on. The words are put together
  /// here so that this file does not hold them.
  @Test func nothingNamesTheWorkplace() {
    let words = ["/" + "work/", "shared" + "/spec", "shared" + "/design", "shared" + "/captures", "/tmp/" + "contract"]
    let folders = ["Sources", "Tests", "CLibUV", "deploy", "docs", "examples", "scripts"]
    let top = (try? FileManager.default.contentsOfDirectory(atPath: SourceTree.root.path)) ?? []
    let topFiles = top.filter { !$0.hasPrefix(".") }.compactMap { name in
      (try? String(contentsOf: SourceTree.root.appending(path: name), encoding: .utf8)).map {
        SourceTree.File(path: name, lines: $0.components(separatedBy: "\n"))
      }
    }
    for file in folders.flatMap({ SourceTree.files(in: $0) }) + topFiles {
      for (number, line) in file.lines.enumerated() {
        for word in words where line.contains(word) { Issue.record("\(file.path):\(number + 1) names \(word)") }
      }
    }
  }
}
