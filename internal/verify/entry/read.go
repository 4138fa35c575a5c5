package entry

// readers fill the part of an entry that its type names. The numbers are places in the type's schema.
var readers = [Types]func(p *Parser, r *reader, e *Entry){
	TypeTransaction: (*Parser).transaction,
	TypePledge:      (*Parser).pledge,
	TypeEpoch:       (*Parser).epoch,
	TypePolicy:      (*Parser).policy,
	TypeSunset:      (*Parser).sunset,
	TypeCoverage:    (*Parser).coverage,
	TypeMarginCall:  (*Parser).marginCall,
	TypeKey:         (*Parser).key,
	TypeLiabilities: (*Parser).liabilities,
}

const aClass = "the name of a GPU class"

func (p *Parser) pledge(r *reader, e *Entry) {
	e.Pledge = Pledge{
		Event:     PledgeEvent(r.oneOf(2, pledgeEvents[:]...)), //nolint:gosec // there are seven
		ExpiresAt: r.text(3), Firmness: r.text(4), GPUClass: r.checked(5, className, aClass), Haircut: -1, Hours: r.natural(7),
		ID: r.id(8, "pldg"), Provider: r.id(9, "prov"), Region: r.checked(11, regionName, "the name of a region"), StartsAt: r.text(13),
	}
	if e.Pledge.Expires = r.instant(3); r.instant(13) >= e.Pledge.Expires {
		r.refuse(3, "after the start")
	}
	r.oneOf(4, "firm", "interruptible")
	if e.Pledge.Hours == 0 {
		r.refuse(7, "above zero")
	}
	if r.has(1) {
		e.Pledge.DocumentSHA256 = r.checked(1, hex64, "a SHA-256 in hexadecimal")
	}
	if r.has(6) {
		if e.Pledge.Haircut = r.millionths(6); e.Pledge.Haircut >= 1_000_000 {
			r.refuse(6, "below 1")
		}
	}
	p.signature(r, &e.Pledge)
}

func (p *Parser) signature(r *reader, pledge *Pledge) {
	if r.has(10) != r.has(12) {
		r.refuse(8, "a pledge with both a signature and its key, or neither")
	}
	if pledge.Signed = r.has(12); pledge.Signed {
		r.base64(10, pledge.PublicKey[:])
		r.base64(12, pledge.Signature[:])
	}
}

func (p *Parser) epoch(r *reader, e *Entry) {
	k := e.Epoch.K[:0]
	r.checked(3, hex64, "a SHA-256 in hexadecimal")
	e.Epoch = Epoch{
		EffectiveAt: r.instant(1), ID: r.id(2, "epoch"), Number: r.natural(5), ReferenceClass: r.checked(6, className, aClass),
	}
	if r.err != nil {
		return
	}
	if r.err = p.inner.scan(r.text(4)); r.err != nil {
		return
	}
	for _, m := range p.inner.members[:p.inner.n] {
		name, value := []byte(m.name), p.inner.b[m.from:m.until]
		n, ok := millionths(value)
		if !ok || n == 0 || !className(name) { // Objects and arrays are no decimals.
			r.refuse(4, "decimals above zero by class")
			return
		}
		k = append(k, ClassK{GPUClass: name, K: n})
	}
	e.Epoch.K = k
}

func (p *Parser) policy(r *reader, e *Entry) {
	e.Policy = Policy{EffectiveAt: r.instant(1), ID: r.id(2, "plcy"), Version: r.natural(6)}
}

func (p *Parser) sunset(r *reader, e *Entry) {
	e.Sunset = Sunset{GPUClass: r.checked(1, className, aClass), NoMintsFrom: r.instant(2), SunsetAt: r.instant(3)}
}

func (p *Parser) coverage(r *reader, e *Entry) {
	states := []string{"healthy", "watch", "call", "default"}
	r.oneOf(5, states...)
	r.oneOf(8, states...)
	r.checked(2, word, "a word")
	e.Coverage = Coverage{
		Backing: r.natural(1), Epoch: r.id(4, "epoch"), From: r.text(5), Outstanding: r.signedMillionths(6), Ratio: NoRatio, HasProvider: r.has(7), To: r.text(8),
	}
	if r.has(3) {
		e.Coverage.Ratio = r.ratio(3)
	}
	if r.has(7) {
		e.Coverage.Provider = r.id(7, "prov")
	}
}

func (p *Parser) marginCall(r *reader, e *Entry) {
	r.oneOf(3, "open", "escalated", "cured")
	e.MarginCall = MarginCall{Call: r.id(1, "mcall"), Provider: r.id(2, "prov"), Status: r.text(3)}
}

func (p *Parser) key(r *reader, e *Entry) {
	e.Key = Key{Revoked: r.oneOf(1, "added", "revoked") == 1, OfLog: r.oneOf(5, "pledges", "log") == 1}
	r.base64(3, e.Key.PublicKey[:])
	switch {
	case e.Key.OfLog && r.has(2):
		r.refuse(2, "a member of a key of the log")
	case !e.Key.OfLog && !r.has(2):
		r.refuse(5, "the use of a key without a provider")
	case r.has(2):
		e.Key.Provider = r.id(2, "prov")
	}
}

func (p *Parser) liabilities(r *reader, e *Entry) {
	collateral := e.Liabilities.Collateral[:0]
	e.Liabilities = Liabilities{
		Asset: r.text(0), Burned: r.natural(2), Minted: r.natural(4), Size: r.natural(6), Total: r.natural(7),
	}
	r.base64(5, e.Liabilities.Root[:])
	if view(e.Liabilities.Asset) != SCH {
		r.refuse(0, "an asset of which liabilities are proved")
	}
	p.each(r, 3, collateralSchema, func(in *reader) {
		collateral = append(collateral, ClassCollateral{
			GPUClass: in.checked(0, className, aClass), Hours: in.natural(1), K: in.millionths(2), SCH: in.natural(3),
		})
	})
	for i := 1; i < len(collateral); i++ {
		if view(collateral[i].GPUClass) <= view(collateral[i-1].GPUClass) {
			r.refuse(3, "in the order of classes, each once")
		}
	}
	e.Liabilities.Collateral = collateral
}

// each reads the objects of an array, which the scanner has found to be well formed.
func (p *Parser) each(r *reader, place int, s *schema, read func(*reader)) {
	at := r.values[place].from + 1
	end := r.values[place].until - 1
	for at < end && r.err == nil {
		p.inner.b, p.inner.n = r.b, 0
		after, err := p.inner.object(at, 1)
		if err == nil {
			err = match(r.b, p.inner.members[:p.inner.n], s, &p.slots)
		}
		if err != nil {
			r.err = err
			return
		}
		in := reader{b: r.b, values: &p.slots}
		read(&in)
		r.err = in.err
		at = after + 1 // and the comma
	}
}
