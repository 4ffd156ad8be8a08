"""Discovery on a log of one's own: which tools matter, which can go, what the log cannot tell.

The layers, each on those before it: :mod:`.states` puts latent states on one scale,
:mod:`.evidence` says what held-out rounds tell of every action, :mod:`.companions` which actions
are used alike, :mod:`.verdicts` what follows, and :mod:`.judge` runs them on a log.
"""
