"""Who may call whom: real policy engines behind one small protocol.

A *question* is what an enforcement point asks: may this principal call this method and path of that service, on this
slice, from this site? A *decision* is the answer with the *rule* that made it. A *policy file* is text a user wrote; a
*policy version* is the hash of a set of them. A *directory* is the list of names that policies may speak of, with the
identities behind them. An *engine* answers questions from policies, purely: the same question has the same answer.
*Asked* is an engine that remembers.

Not here: when a question is asked, what the answer costs and who carries it out (the sidecar's and the world's part),
reading a user's files, and any clock.
"""
