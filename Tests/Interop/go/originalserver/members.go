package main

import (
	"fmt"
	"log"
	"math/rand"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

const build = "1.1.2"

// peer is a member that is a Nomad server, by its tags.
type peer struct {
	Name, ID, Region, Datacenter, Build string
	// Address is the gossip IP and the tag `port`; Client is what clients are told.
	Address, Client     string
	Expect, Raft        int
	Bootstrap, NonVoter bool
	Status              serf.MemberStatus
}

// asServer is the original's test for a server. What it refuses is ignored everywhere.
func asServer(member serf.Member) (*peer, error) {
	tags := member.Tags
	if tags["role"] != "nomad" {
		return nil, fmt.Errorf("role is %q", tags["role"])
	}
	number := func(key string, mayMiss bool) (int, error) {
		text, exists := tags[key]
		if !exists && mayMiss {
			return 0, nil
		}
		value, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("tag %s is %q", key, text)
		}
		return value, nil
	}
	values := map[string]int{}
	for key, mayMiss := range map[string]bool{
		"port": false, "vsn": false, "mvn": true, "raft_vsn": true, "expect": true,
	} {
		value, err := number(key, mayMiss)
		if err != nil {
			return nil, err
		}
		values[key] = value
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(tags["build"], "%d.%d.%d", &major, &minor, &patch); err != nil {
		return nil, fmt.Errorf("tag build is %q", tags["build"])
	}
	advertised := net.ParseIP(tags["rpc_addr"])
	if advertised == nil {
		advertised = member.Addr
	}
	id := tags["id"]
	if id == "" {
		id = "unknown"
	}
	_, bootstrap := tags["bootstrap"]
	_, nonVoter := tags["nonvoter"]
	port := strconv.Itoa(values["port"])
	return &peer{
		Name: member.Name, ID: id, Region: tags["region"], Datacenter: tags["dc"], Build: tags["build"],
		Address: net.JoinHostPort(member.Addr.String(), port), Client: net.JoinHostPort(advertised.String(), port),
		Expect: values["expect"], Raft: values["raft_vsn"], Bootstrap: bootstrap, NonVoter: nonVoter,
		Status: member.Status,
	}, nil
}

// directory is the two tables that gossip events fill.
type directory struct {
	sync.Mutex
	// regions holds peers by region and gossip name; local those of the own region by address.
	regions map[string]map[string]*peer
	local   map[string]*peer
	// strangers are members that are no servers, with the reason.
	strangers map[string]string
}

func newDirectory() *directory {
	return &directory{regions: map[string]map[string]*peer{}, local: map[string]*peer{}, strangers: map[string]string{}}
}

func (d *directory) add(one *peer, region string) {
	d.Lock()
	defer d.Unlock()
	if d.regions[one.Region] == nil {
		d.regions[one.Region] = map[string]*peer{}
	}
	d.regions[one.Region][one.Name] = one
	if one.Region == region {
		d.local[one.Address] = one
	}
}

func (d *directory) remove(one *peer, region string) {
	d.Lock()
	defer d.Unlock()
	delete(d.regions[one.Region], one.Name)
	if len(d.regions[one.Region]) == 0 {
		delete(d.regions, one.Region)
	}
	if one.Region == region {
		delete(d.local, one.Address)
	}
}

// byAddress is nil for an address that gossip does not know: to such a leader nothing is passed on.
func (d *directory) byAddress(address string) *peer {
	d.Lock()
	defer d.Unlock()
	return d.local[address]
}

func (d *directory) anyOf(region string) *peer {
	d.Lock()
	defer d.Unlock()
	skip := 0
	if count := len(d.regions[region]); count > 0 {
		skip = rand.Intn(count)
	}
	for _, peer := range d.regions[region] {
		if skip == 0 {
			return peer
		}
		skip--
	}
	return nil
}

// MARK: Gossip

// NotifyMerge refuses pools with members that are no Nomad servers.
func (s *server) NotifyMerge(members []*serf.Member) error {
	for _, member := range members {
		if _, err := asServer(*member); err != nil {
			return fmt.Errorf("member %q is not a server: %v", member.Name, err)
		}
	}
	return nil
}

func (s *server) tags() map[string]string {
	tags := map[string]string{
		"role": "nomad", "region": s.region, "dc": "dc1", "build": build, "vsn": "1", "mvn": "1",
		"raft_vsn": strconv.Itoa(s.protocol), "id": s.id, "rpc_addr": s.host, "port": strconv.Itoa(rpcPort),
	}
	if s.expect != 0 {
		tags["expect"] = strconv.Itoa(s.expect)
	}
	if s.expect == 1 {
		tags["bootstrap"] = "1"
	}
	return tags
}

func (s *server) startSerf() error {
	config := serf.DefaultConfig()
	config.Init()
	config.NodeName = s.name + "." + s.region
	config.Tags = s.tags()
	config.MemberlistConfig = memberlist.DefaultWANConfig()
	config.MemberlistConfig.BindAddr = s.host
	config.MemberlistConfig.BindPort = serfPort
	config.MemberlistConfig.AdvertiseAddr = s.host
	config.MemberlistConfig.AdvertisePort = serfPort
	config.MemberlistConfig.LogOutput = os.Stderr
	config.LogOutput = os.Stderr
	config.EventCh = s.events
	config.SnapshotPath = s.data + "/serf/snapshot"
	config.Merge = s
	config.ProtocolVersion = 4
	config.EnableNameConflictResolution = false
	config.QueryBuffer, config.EventBuffer = 512, 512
	config.QueueDepthWarning, config.MinQueueDepth = 128, 4096
	config.LeavePropagateDelay = time.Second
	config.ReconnectTimeout = 72 * time.Hour
	var err error
	s.serf, err = serf.Create(config)
	return err
}

// followGossip fills the tables. Bootstrapping runs here too: while it waits, all other news wait.
func (s *server) followGossip() {
	for event := range s.events {
		news, isAboutMembers := event.(serf.MemberEvent)
		if !isAboutMembers {
			continue
		}
		for _, member := range news.Members {
			peer, err := asServer(member)
			if err != nil {
				log.Printf("non-server in gossip pool: %s: %v", member.Name, err)
				s.directory.Lock()
				s.directory.strangers[member.Name] = err.Error()
				s.directory.Unlock()
				continue
			}
			switch news.Type {
			case serf.EventMemberJoin:
				log.Printf("adding server %s %s %s", peer.Name, peer.Address, peer.ID)
				s.directory.add(peer, s.region)
				if s.expect != 0 && !s.bootstrapped {
					s.maybeBootstrap()
				}
			case serf.EventMemberLeave, serf.EventMemberFailed:
				log.Printf("removing server %s %s", peer.Name, peer.Address)
				s.directory.remove(peer, s.region)
			case serf.EventMemberUpdate, serf.EventMemberReap:
			}
			if news.Type != serf.EventMemberUpdate {
				if news.Type == serf.EventMemberReap {
					member.Status = reaped
				}
				select {
				case s.queue <- member:
				default:
				}
			}
		}
	}
}

// reaped is no status of a member but an event's.
const reaped = serf.MemberStatus(-1)

// servers are the members of the own region that are servers, whatever their status.
func (s *server) servers() []*peer {
	var peers []*peer
	for _, member := range s.serf.Members() {
		if peer, err := asServer(member); err == nil && peer.Region == s.region {
			peers = append(peers, peer)
		}
	}
	return peers
}

// minimumRaft is over the alive servers of the region; a missing tag counts as 1.
func (s *server) minimumRaft() int {
	minimum := 0
	for _, peer := range s.servers() {
		if peer.Status != serf.StatusAlive {
			continue
		}
		version := peer.Raft
		if version == 0 {
			version = 1
		}
		if minimum == 0 || version < minimum {
			minimum = version
		}
	}
	return minimum
}
