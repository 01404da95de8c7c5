package main

import (
	"log"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// maybeBootstrap is the original's rule for the first configuration: once enough voters are in gossip, alive or not,
// and none of them has Raft peers, each server writes what it sees, in no particular order. The flag is set by any
// attempt and never cleared.
func (s *server) maybeBootstrap() {
	last, err := s.store.LastIndex()
	if err != nil {
		log.Printf("failed to read last raft index: %v", err)
		return
	}
	if last != 0 {
		s.bootstrapped = true
		return
	}
	voters := 0
	peers := map[string]*peer{}
	for _, peer := range s.servers() {
		if peer.Expect != 0 && peer.Expect != s.expect {
			log.Printf("peer %s has a conflicting expect value. All nodes should expect the same number", peer.Name)
			return
		}
		if peer.Bootstrap {
			log.Printf("peer %s has bootstrap mode. Expect disabled", peer.Name)
			return
		}
		if !peer.NonVoter {
			voters++
		}
		peers[peer.Name] = peer
	}
	if voters < s.expect {
		return
	}
	for _, peer := range peers {
		if len(s.peersOf(peer)) > 0 {
			log.Printf("existing Raft peers reported by %s, disabling bootstrap mode", peer.Name)
			s.bootstrapped = true
			return
		}
	}
	minimum := s.minimumRaft()
	var configuration raft.Configuration
	var addresses []string
	for _, peer := range peers {
		id := peer.Address
		if minimum >= 3 {
			id = peer.ID
		}
		suffrage := raft.Voter
		if peer.NonVoter {
			suffrage = raft.Nonvoter
		}
		configuration.Servers = append(configuration.Servers, raft.Server{
			ID: raft.ServerID(id), Address: raft.ServerAddress(peer.Address), Suffrage: suffrage})
		addresses = append(addresses, peer.Address)
	}
	log.Printf("found expected number of peers, attempting to bootstrap cluster... %s", strings.Join(addresses, ","))
	if err := s.raft.BootstrapCluster(configuration).Error(); err != nil {
		log.Printf("failed to bootstrap cluster: %v", err)
	} else {
		s.hasWrittenFirst = true
	}
	s.bootstrapped = true
}

// peersOf tries six times, and takes silence for no peers.
func (s *server) peersOf(peer *peer) []string {
	arguments := GenericRequest{QueryOptions{AllowStale: true}}
	for attempt := uint(0); attempt < 6; attempt++ {
		var peers []string
		err := s.pool.call(peer.Address, "Status.Peers", &arguments, &peers)
		if err == nil {
			return peers
		}
		log.Printf("failed to confirm peer status of %s: %v", peer.Name, err)
		time.Sleep(time.Second << attempt)
	}
	return nil
}
