import HTTP
import Testing

@testable import nomad

@Suite struct TemplateTests {
  static let value: JSONValue = [
    "Name": "c1", "Port": 4648, "Ratio": 1.0, "Up": true, "Tags": ["role": "nomad", "dc": "dc1"], "Empty": [],
    "Nil": nil,
    "List": [["ID": "a", "Up": true], ["ID": "b", "Up": false]],
  ]

  @Test(arguments: [
    ("plain", "plain"), ("{{.Name}}", "c1"), ("a {{ .Tags.role }} b", "a nomad b"), ("{{.Missing}}", "<no value>"),
    ("{{range .List}}{{.ID}} {{.Up}}{{\"\\n\"}}{{end}}", "a true\nb false\n"),
    ("{{range .Empty}}x{{else}}none{{end}}", "none"), ("{{with .Tags}}{{.dc}}{{end}}", "dc1"),
    ("{{if .Nil}}a{{else if eq .Name \"c1\"}}b{{else}}c{{end}}!", "b!"),
    ("{{if .Nil}}a{{else if .Nil}}b{{else}}c{{end}}!", "c!"), ("{{if and .Up (not .Nil)}}y{{end}}", "y"),
    ("{{len .List}} {{index .List 1}} {{index .Tags \"dc\"}}", "2 map[ID:b Up:false] dc1"),
    ("{{printf \"%s-%d %5s|%-3s|%q%%\" .Name .Port .Name \"x\" .Name}}", "c1-4648    c1|x  |\"c1\"%"),
    ("{{.Name | printf \"<%s>\"}}", "<c1>"), ("{{range $.List}}{{$.Name}}{{end}}", "c1c1"),
    ("a  {{- .Name -}}  b", "ac1b"), ("{{/* note */}}x", "x"), ("{{print .Name 1}}{{println .Port}}", "c1 14648\n"),
    ("{{.Ratio}} {{.Tags}} {{.Empty}}", "1 map[dc:dc1 role:nomad] []"),
    ("{{eq .Port 1 4648}} {{ne .Name `c1`}}", "true false"),
    ("{{range .List}}{{if .Up}}{{range $.List}}{{.ID}}{{end}}{{end}}{{end}}.", "ab."),
  ])
  func printsAsGoDoes(template: String, text: String) throws {
    #expect(try Template(template).text(Self.value) == text)
  }

  @Test(arguments: [
    "{{", "{{.A", "{{if .A}}", "{{end}}", "{{}}", "{{nope .A}}", "{{.Name.x}}", "{{range .Name}}{{end}}", "{{(.A}}",
    "{{\"a}}",
    "{{if .A}}{{else}}", "{{.A | }}", "{{index .List 9}}", "{{printf}}",
  ])
  func refusesWhatItDoesNotKnow(template: String) {
    #expect(throws: TemplateError.self) { _ = try Template(template).text(Self.value) }
  }

  @Test func deepNestingIsRefused() {
    let deep = String(repeating: "{{if .A}}", count: 10_000)
    #expect(throws: TemplateError.self) { _ = try Template(deep) }
    #expect(throws: TemplateError.self) { _ = try Template("{{" + String(repeating: "(", count: 10_000) + "}}") }
  }

  @Test func commandsPrintThroughTemplates() {
    var bench = CommandBench(["GET /v1/agent/self": #"{"config":{"Region":"r"},"stats":{}}"#])
    #expect(bench.run("agent-info -t {{.config.Region}}") == 0)
    #expect(bench.output == "r\n")
    #expect(bench.run("agent-info -t {{.x -json") == 1)
    #expect(bench.run("agent-info -json -t {{.x}}") == 1)
    #expect(bench.errors == "Both json and template formatting are not allowed\n")
    #expect(bench.run("agent-info -t {{nope}}") == 1)
    #expect(bench.errors == "template: format:1: function \"nope\" not defined\n")
  }
}
