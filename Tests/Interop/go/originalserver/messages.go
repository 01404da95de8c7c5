package main

import (
	"time"

	"github.com/hashicorp/go-msgpack/codec"
)

// What travels over RPC and in Raft entries, as typed as in the original: a field of the wrong kind is an error here,
// as it is there. Unknown fields are dropped.

// handle is the dialect of RPC, of entries and of snapshots: names as keys, raw strings, times as 15 raw bytes.
var handle = &codec.MsgpackHandle{RawToString: true}

func decode(data []byte, into interface{}) error {
	return codec.NewDecoderBytes(data, handle).Decode(into)
}

func encode(kind byte, value interface{}) ([]byte, error) {
	var body []byte
	if err := codec.NewEncoderBytes(&body, handle).Encode(value); err != nil {
		return nil, err
	}
	return append([]byte{kind}, body...), nil
}

// Message types of entries.
const (
	nodeRegister        = 0
	nodeDeregister      = 1
	nodeUpdateStatus    = 2
	nodeUpdateDrain     = 3
	autopilotConfig     = 24
	nodeEvents          = 25
	nodeEligibility     = 28
	batchDrain          = 29
	schedulerConfig     = 30
	nodeBatchDeregister = 31
	clusterMetadata     = 32
	ignoreUnknown       = 0x80
)

// routed is a request that may have to be passed on.
type routed interface {
	target() string
	allowsStale() bool
	markForwarded()
}

type QueryOptions struct {
	Region, Namespace string
	MinQueryIndex     uint64
	MaxQueryTime      time.Duration
	AllowStale        bool
	Prefix, AuthToken string
	PerPage           int32
	NextToken         string
	Forwarded         bool
}

func (q *QueryOptions) target() string    { return q.Region }
func (q *QueryOptions) allowsStale() bool { return q.AllowStale }
func (q *QueryOptions) markForwarded()    { q.Forwarded = true }

type WriteRequest struct {
	Region, Namespace, AuthToken string
	Forwarded                    bool
}

func (w *WriteRequest) target() string    { return w.Region }
func (w *WriteRequest) allowsStale() bool { return false }
func (w *WriteRequest) markForwarded()    { w.Forwarded = true }

type QueryMeta struct {
	Index       uint64
	LastContact time.Duration
	KnownLeader bool
}

type WriteMeta struct{ Index uint64 }

type Empty struct{}

type GenericRequest struct{ QueryOptions }

type GenericResponse struct{ WriteMeta }

// MARK: Status

type VersionResponse struct {
	Build    string
	Versions map[string]int
	QueryMeta
}

type RaftStats struct {
	LastContact         string
	LastIndex, LastTerm uint64
}

type Member struct {
	Name                                  string
	Addr                                  []byte
	Port                                  uint16
	Tags                                  map[string]string
	Status                                string
	ProtocolMin, ProtocolMax, ProtocolCur uint8
	DelegateMin, DelegateMax, DelegateCur uint8
}

type MembersResponse struct {
	ServerName, ServerRegion, ServerDC string
	Members                            []*Member
}

type NodeSpecificRequest struct {
	NodeID, SecretID string
	QueryOptions
}

type NodeConnResponse struct {
	Connected   bool
	Established time.Time
	QueryMeta
}

// MARK: Nodes

type NodeEvent struct {
	Message, Subsystem string
	Details            map[string]string
	Timestamp          time.Time
	CreateIndex        uint64
}

type NodeResources struct {
	Cpu struct {
		CpuShares          int64
		TotalCpuCores      uint16
		ReservableCpuCores []uint16
	}
	Memory       struct{ MemoryMB int64 }
	Disk         struct{ DiskMB int64 }
	Networks     []*NetworkResource
	NodeNetworks []*struct {
		Mode, Device, MacAddress string
		Speed                    int
		Addresses                []struct{ Family, Alias, Address, ReservedPorts, Gateway string }
	}
	Devices []interface{}
}

type NetworkResource struct {
	Mode, Device, CIDR, IP string
	MBits                  int
	DNS                    *struct{ Servers, Searches, Options []string }
	ReservedPorts          []Port
	DynamicPorts           []Port
}

type Port struct {
	Label       string
	Value, To   int
	HostNetwork string
}

type ReservedResources struct {
	Cpu struct {
		CpuShares        int64
		ReservedCpuCores []uint16
	}
	Memory   struct{ MemoryMB int64 }
	Disk     struct{ DiskMB int64 }
	Networks struct{ ReservedHostPorts string }
}

type LegacyResources struct {
	CPU, Cores, MemoryMB, MemoryMaxMB, DiskMB, IOPS int
	Networks                                        []*NetworkResource
	Devices                                         []interface{}
}

type DriverInfo struct {
	Attributes        map[string]string
	Detected, Healthy bool
	HealthDescription string
	UpdateTime        time.Time
}

type DrainStrategy struct {
	Deadline                 time.Duration
	IgnoreSystemJobs         bool
	ForceDeadline, StartedAt time.Time
}

type DrainMetadata struct {
	StartedAt, UpdatedAt time.Time
	Status, AccessorID   string
	Meta                 map[string]string
}

type HostVolume struct {
	Name, Path string
	ReadOnly   bool
}

type Node struct {
	ID, SecretID, Datacenter, Name, HTTPAddr string
	TLSEnabled                               bool
	Attributes                               map[string]string
	NodeResources                            *NodeResources
	ReservedResources                        *ReservedResources
	Resources, Reserved                      *LegacyResources
	Links, Meta                              map[string]string
	NodeClass, ComputedClass                 string
	DrainStrategy                            *DrainStrategy
	SchedulingEligibility                    string
	Status, StatusDescription                string
	StatusUpdatedAt                          int64
	Events                                   []*NodeEvent
	Drivers                                  map[string]*DriverInfo
	CSIControllerPlugins, CSINodePlugins     map[string]interface{}
	HostVolumes                              map[string]*HostVolume
	LastDrain                                *DrainMetadata
	CreateIndex, ModifyIndex                 uint64
}

type NodeRegisterRequest struct {
	Node      *Node
	NodeEvent *NodeEvent
	WriteRequest
}

type NodeUpdateStatusRequest struct {
	NodeID, Status string
	NodeEvent      *NodeEvent
	UpdatedAt      int64
	WriteRequest
}

type NodeDeregisterRequest struct {
	NodeID string
	WriteRequest
}

type NodeBatchDeregisterRequest struct {
	NodeIDs []string
	WriteRequest
}

type NodeUpdateDrainRequest struct {
	NodeID        string
	DrainStrategy *DrainStrategy
	MarkEligible  bool
	NodeEvent     *NodeEvent
	UpdatedAt     int64
	Meta          map[string]string
	WriteRequest
}

type DrainUpdate struct {
	DrainStrategy *DrainStrategy
	MarkEligible  bool
}

type BatchDrainRequest struct {
	Updates    map[string]*DrainUpdate
	NodeEvents map[string]*NodeEvent
	UpdatedAt  int64
	WriteRequest
}

type NodeEligibilityRequest struct {
	NodeID, Eligibility string
	NodeEvent           *NodeEvent
	UpdatedAt           int64
	WriteRequest
}

type NodeEventsRequest struct {
	NodeEvents map[string][]*NodeEvent
	WriteRequest
}

type ServerInfo struct {
	RPCAdvertiseAddr                 string
	RPCMajorVersion, RPCMinorVersion int32
	Datacenter                       string
}

type NodeUpdateResponse struct {
	HeartbeatTTL                     time.Duration
	EvalIDs                          []string
	EvalCreateIndex, NodeModifyIndex uint64
	LeaderRPCAddr                    string
	NumNodes                         int32
	Servers                          []*ServerInfo
	Features                         uint64
	QueryMeta
}

type NodeAllocsResponse struct {
	Allocs []interface{}
	QueryMeta
}

type SingleNodeResponse struct {
	Node *Node
	QueryMeta
}

type NodeStub struct {
	Address, ID, Datacenter, Name, NodeClass, Version string
	Drain                                             bool
	SchedulingEligibility, Status, StatusDescription  string
	Drivers                                           map[string]*DriverInfo
	HostVolumes                                       map[string]*HostVolume
	NodeResources                                     *NodeResources
	ReservedResources                                 *ReservedResources
	LastDrain                                         *DrainMetadata
	CreateIndex, ModifyIndex                          uint64
}

type NodeListResponse struct {
	Nodes []*NodeStub
	QueryMeta
}

type ClientAllocsResponse struct {
	Allocs        map[string]uint64
	MigrateTokens map[string]string
	QueryMeta
}

// MARK: Leader

type EvalDequeueRequest struct {
	Schedulers       []string
	Timeout          time.Duration
	SchedulerVersion uint16
	WriteRequest
}

type EvalDequeueResponse struct {
	Eval      map[string]interface{}
	Token     string
	WaitIndex uint64
	QueryMeta
}

type AutopilotConfig struct {
	CleanupDeadServers                             bool
	ServerStabilizationTime, LastContactThreshold  time.Duration
	MaxTrailingLogs                                uint64
	MinQuorum                                      uint
	EnableRedundancyZones, DisableUpgradeMigration bool
	EnableCustomUpgrades                           bool
	CreateIndex, ModifyIndex                       uint64
}

func defaultAutopilot() AutopilotConfig {
	return AutopilotConfig{
		CleanupDeadServers: true, ServerStabilizationTime: 10 * time.Second,
		LastContactThreshold: 200 * time.Millisecond, MaxTrailingLogs: 250,
	}
}

type AutopilotSetRequest struct {
	Datacenter string
	Config     AutopilotConfig
	CAS        bool
	WriteRequest
}

type SchedulerConfig struct {
	SchedulerAlgorithm string
	PreemptionConfig   struct {
		SystemSchedulerEnabled, BatchSchedulerEnabled, ServiceSchedulerEnabled bool
	}
	MemoryOversubscriptionEnabled bool
	CreateIndex, ModifyIndex      uint64
}

type SchedulerSetRequest struct {
	Config SchedulerConfig
	CAS    bool
	WriteRequest
}

type ClusterMetadata struct {
	ClusterID  string
	CreateTime int64
}

type SchedulerConfigResponse struct {
	SchedulerConfig *SchedulerConfig
	QueryMeta
}

type ServerHealth struct {
	ID, Name, Address   string
	SerfStatus          int
	Version             string
	Leader              bool
	LastContact         time.Duration
	LastTerm, LastIndex uint64
	Healthy, Voter      bool
	StableSince         time.Time
}

type ServerHealthResponse struct {
	Healthy          bool
	FailureTolerance int
	Servers          []*ServerHealth
}

type RaftServer struct {
	ID, Node, Address string
	Leader, Voter     bool
	RaftProtocol      string
}

type RaftConfigurationResponse struct {
	Servers []*RaftServer
	Index   uint64
}

type RaftPeerRequest struct {
	ID, Address string
	WriteRequest
}
