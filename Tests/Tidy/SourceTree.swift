import Foundation

/// The files of this package as text, found from this file's own place.
struct SourceTree {
  struct File {
    /// From the root of the package, with `/`.
    let path: String
    let lines: [String]

    /// The module it belongs to: the folder after `Sources` or `Tests`.
    var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }

    /// Lines that are code: string literals are emptied and comments cut off.
    let code: [String]

    init(path: String, lines: [String]) {
      self.path = path
      self.lines = lines
      code = lines.map { line in
        let bare = line.replacingOccurrences(of: #""(\\.|[^"\\])*""#, with: "\"\"", options: .regularExpression)
        return bare.range(of: "//").map { String(bare[..<$0.lowerBound]) } ?? bare
      }
    }

    /// The modules this file imports.
    var imports: [String] {
      code.compactMap { line in
        var words = line.split(whereSeparator: \.isWhitespace)[...]
        while let first = words.first, first.hasPrefix("@") || Self.accessLevels.contains(String(first)) {
          words = words.dropFirst()
        }
        guard words.first == "import" else { return nil }
        words = words.dropFirst()
        if let kind = words.first, Self.importKinds.contains(String(kind)) { words = words.dropFirst() }
        return words.first.map { String($0.prefix { $0 != "." }) }
      }
    }

    private static let accessLevels: Set<String> = ["public", "package", "internal", "fileprivate", "private"]
    private static let importKinds: Set<String> = [
      "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
    ]
  }

  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Every text file below `folder` whose name ends in one of `extensions` (all when empty), hidden ones left out.
  static func files(in folder: String, extensions: Set<String> = []) -> [File] {
    let base = root.appending(path: folder)
    let enumerator = FileManager.default.enumerator(
      at: base, includingPropertiesForKeys: [.isRegularFileKey], options: [.skipsHiddenFiles])
    var files: [File] = []
    while let url = enumerator?.nextObject() as? URL {
      guard (try? url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile) == true,
        extensions.isEmpty || extensions.contains(url.pathExtension),
        let text = try? String(contentsOf: url, encoding: .utf8)
      else { continue }
      let path = String(url.path.dropFirst(root.path.count).drop { $0 == "/" })
      files.append(File(path: path, lines: text.components(separatedBy: "\n")))
    }
    return files.sorted { $0.path < $1.path }
  }

  static let sources = files(in: "Sources", extensions: ["swift"])
  static let tests = files(in: "Tests", extensions: ["swift"])

  /// `path:line: text` for every line of code of `files` that `matches`.
  static func offences(_ files: [File], where matches: (String) -> Bool) -> [String] {
    files.flatMap { file in
      file.code.enumerated().compactMap { number, line in
        matches(line) ? "\(file.path):\(number + 1): \(line.trimmingCharacters(in: .whitespaces))" : nil
      }
    }
  }
}
