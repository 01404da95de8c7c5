// Command memberpool is many members of HashiCorp's memberlist library in one process, for tests of the wire and for the
// bench. All share one address and have ports of their own. It is controlled over HTTP.
//
//	GET  /views                      what the running members believe: for each different belief a line
//	                                 "view N", N being how many believe it, then "name address:port" a line, sorted
//	POST /start?from=A&to=B&join=P   starts the members A to B-1, each joining the address P
//	POST /join?member=M&peer=P       a state exchange of one member; answers the size of its list
//	POST /kill?from=A&to=B           ends members without a word
//	POST /leave?from=A&to=B          ends members in order
//	POST /noise?peer=P&seed=S&count=N  sends N bad packets and N/100 bad streams to a foreign member
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io/ioutil"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// plain is a delegate with metadata and nothing else.
type plain struct{ meta []byte }

func (p plain) NodeMeta(limit int) []byte                  { return p.meta }
func (p plain) NotifyMsg([]byte)                           {}
func (p plain) GetBroadcasts(overhead, limit int) [][]byte { return nil }
func (p plain) LocalState(join bool) []byte                { return nil }
func (p plain) MergeRemoteState(buf []byte, join bool)     {}

type pool struct {
	lock    sync.Mutex
	host    string
	port    int
	members map[int]*memberlist.Memberlist
}

func (p *pool) configuration(number int) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = fmt.Sprintf("go%d", number)
	c.BindAddr, c.AdvertiseAddr = p.host, p.host
	c.BindPort, c.AdvertisePort = p.port+number, p.port+number
	// Those of Serf, so that the pool's versions overlap.
	c.DelegateProtocolMin, c.DelegateProtocolVersion, c.DelegateProtocolMax = 2, 4, 5
	c.Delegate = plain{meta: []byte{0xff, 0x81, 0xa2, 'g', 'o', 0xa1, '1'}}
	c.LogOutput = ioutil.Discard
	return c
}

func (p *pool) start(number int, join string) error {
	list, err := memberlist.Create(p.configuration(number))
	if err != nil {
		return err
	}
	p.lock.Lock()
	p.members[number] = list
	p.lock.Unlock()
	if join != "" {
		_, err = list.Join([]string{join})
	}
	return err
}

func (p *pool) take(number int) *memberlist.Memberlist {
	p.lock.Lock()
	defer p.lock.Unlock()
	list := p.members[number]
	delete(p.members, number)
	return list
}

func (p *pool) get(number int) *memberlist.Memberlist {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.members[number]
}

func (p *pool) views() string {
	p.lock.Lock()
	defer p.lock.Unlock()
	counts := map[string]int{}
	for _, list := range p.members {
		var lines []string
		for _, node := range list.Members() {
			lines = append(lines, fmt.Sprintf("%s %s", node.Name, node.Address()))
		}
		sort.Strings(lines)
		counts[strings.Join(lines, "\n")]++
	}
	var out bytes.Buffer
	for view, count := range counts {
		fmt.Fprintf(&out, "view %d\n%s\n", count, view)
	}
	return out.String()
}

// noise sends packets that are no messages, or nearly ones, and streams of the same.
func noise(peer string, seed int64, count int) error {
	random := rand.New(rand.NewSource(seed))
	packets, err := net.Dial("udp", peer)
	if err != nil {
		return err
	}
	defer packets.Close()
	good := [][]byte{
		[]byte("\x00\x82\xa4Node\xa1x\xa5SeqNo\x2a"),
		[]byte("\x04\x86\xa4Addr\xa4\x7f\x00\x00\x01\xabIncarnation\x01\xa4Meta\xc0\xa4Node\xa0\xa4Port\xcd\x12\x28\xa3Vsn\xc0"),
		[]byte("\x07\x02\x00\x03\x00\x09\x08hi"),
		[]byte("\x09\x82\xa4Algo\x00\xa3Buf\xa7\x00\x83\x08\x11\x48\x30\x20"),
		[]byte("\x0c\x00\x00\x00\x00\x08hi"),
		[]byte("\x06\x83\xa4Join\xc3\xa5Nodes\x01\xacUserStateLen\x00"),
	}
	make := func() []byte {
		if random.Intn(3) == 0 {
			b := make([]byte, random.Intn(1400))
			random.Read(b)
			return b
		}
		b := append([]byte{}, good[random.Intn(len(good))]...)
		for n := random.Intn(4); n > 0; n-- {
			b[random.Intn(len(b))] = byte(random.Intn(256))
		}
		return b[:random.Intn(len(b)+1)]
	}
	for n := 0; n < count; n++ {
		packets.Write(make())
		if n%100 == 0 {
			stream, err := net.DialTimeout("tcp", peer, time.Second)
			if err != nil {
				return err
			}
			stream.Write(make())
			stream.Close()
			// A receive buffer's worth at a time: what is dropped is no test.
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

func main() {
	host := flag.String("host", "127.0.0.1", "address of all members")
	port := flag.Int("port", 7000, "port of the first member")
	count := flag.Int("count", 1, "members at the start")
	control := flag.String("control", "", "address of the control service")
	flag.Parse()
	log.SetOutput(os.Stderr)

	p := &pool{host: *host, port: *port, members: map[int]*memberlist.Memberlist{}}
	first := fmt.Sprintf("%s:%d", *host, *port)
	for number := 0; number < *count; number++ {
		join := first
		if number == 0 {
			join = ""
		}
		if err := p.start(number, join); err != nil {
			log.Fatal(err)
		}
	}
	if *control == "" {
		select {}
	}

	number := func(r *http.Request, name string) int {
		value, _ := strconv.Atoi(r.URL.Query().Get(name))
		return value
	}
	answer := func(w http.ResponseWriter, err error) {
		if err != nil {
			http.Error(w, err.Error(), 500)
		}
	}
	http.HandleFunc("/views", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, p.views()) })
	http.HandleFunc("/start", func(w http.ResponseWriter, r *http.Request) {
		for n := number(r, "from"); n < number(r, "to"); n++ {
			if err := p.start(n, r.URL.Query().Get("join")); err != nil {
				answer(w, err)
				return
			}
		}
	})
	http.HandleFunc("/join", func(w http.ResponseWriter, r *http.Request) {
		list := p.get(number(r, "member"))
		_, err := list.Join([]string{r.URL.Query().Get("peer")})
		answer(w, err)
		fmt.Fprint(w, list.NumMembers())
	})
	http.HandleFunc("/kill", func(w http.ResponseWriter, r *http.Request) {
		for n := number(r, "from"); n < number(r, "to"); n++ {
			if list := p.take(n); list != nil {
				answer(w, list.Shutdown())
			}
		}
	})
	http.HandleFunc("/leave", func(w http.ResponseWriter, r *http.Request) {
		var group sync.WaitGroup
		for n := number(r, "from"); n < number(r, "to"); n++ {
			if list := p.take(n); list != nil {
				group.Add(1)
				go func() {
					defer group.Done()
					list.Leave(5 * time.Second)
					list.Shutdown()
				}()
			}
		}
		group.Wait()
	})
	http.HandleFunc("/noise", func(w http.ResponseWriter, r *http.Request) {
		answer(w, noise(r.URL.Query().Get("peer"), int64(number(r, "seed")), number(r, "count")))
	})
	log.Fatal(http.ListenAndServe(*control, nil))
}
