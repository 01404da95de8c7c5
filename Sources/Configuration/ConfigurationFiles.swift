import FoundationEssentials

/// The part of a file system that loading needs; a value in tests, the disk in the agent.
public protocol ConfigurationFiles {
  /// `nil` when nothing exists at `path`.
  func kind(of path: String) -> ConfigurationFileKind?
  /// The names in a directory, in any order; `nil` when it cannot be read.
  func names(in directory: String) -> [String]?
  /// `nil` when it cannot be read.
  func contents(of path: String) -> [UInt8]?
}

public enum ConfigurationFileKind: Sendable {
  case file, directory
}

/// The disk.
public struct DiskFiles: ConfigurationFiles {
  public init() {}

  public func kind(of path: String) -> ConfigurationFileKind? {
    var isDirectory = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else { return nil }
    return isDirectory ? .directory : .file
  }

  public func names(in directory: String) -> [String]? {
    try? FileManager.default.contentsOfDirectory(atPath: directory)
  }

  public func contents(of path: String) -> [UInt8]? {
    FileManager.default.contents(atPath: path).map { Array($0) }
  }
}

extension Settings {
  /// More files in one directory are a mistake, such as `--config /`.
  static let maximumFiles = 1000

  /// Merges a file, or the `.hcl` and `.json` files of a directory in name order (not of its subdirectories). Returns
  /// the paths read.
  mutating func merge(path: String, files: some ConfigurationFiles) throws(ConfigurationError) -> [String] {
    let option = SourcePlace.option("--config")
    guard let kind = files.kind(of: path) else {
      throw ConfigurationError(
        "Error loading configuration from \(path): stat \(path): no such file or directory; correct the path",
        at: option)
    }
    guard kind == .directory else {
      try merge(file: path, files: files)
      return [path]
    }
    guard let names = files.names(in: path) else {
      throw ConfigurationError("the directory \(path) cannot be read; check its permissions", at: option)
    }
    let base = path.hasSuffix("/") ? path : path + "/"
    let wanted = names.filter(Self.isConfigurationName).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      .map { base + $0 }.filter { files.kind(of: $0) == .file }
    guard wanted.count <= Self.maximumFiles else {
      throw ConfigurationError(
        "the directory \(path) holds \(wanted.count) configuration files, more than \(Self.maximumFiles); "
          + "name the directory that was meant", at: option)
    }
    if wanted.isEmpty { warn("No configuration loaded from \(path): it holds no file *.hcl or *.json") }
    for file in wanted { try merge(file: file, files: files) }
    return wanted
  }

  private mutating func merge(file path: String, files: some ConfigurationFiles) throws(ConfigurationError) {
    guard let bytes = files.contents(of: path) else {
      throw ConfigurationError("the file \(path) cannot be read; check its permissions", at: .option("--config"))
    }
    let source = try SourceText(bytes, path: path)
    let isJSON = bytes.first { !$0.isBlank && $0 != 10 } == UInt8(ascii: "{")
    try merge(isJSON ? JSONParser.parse(source) : HCLParser.parse(source))
  }

  /// Editors leave backups beside the files they write.
  private static func isConfigurationName(_ name: String) -> Bool {
    (name.hasSuffix(".hcl") || name.hasSuffix(".json")) && !name.hasPrefix(".#")
      && !(name.hasPrefix("#") && name.hasSuffix("#"))
  }
}
