import Testing

/// Real processes on real ports of loopback: what an operator sees, from the first start to every kind of loss.
///
/// One at a time, because each test runs up to six agents and times them. Deadlines are generous: how fast a cluster
/// forms is the benchmark's question, and the times measured here are only printed.
@Suite(.serialized, .timeLimit(.minutes(4))) struct EndToEnd {}
