/** The `fields` parameter: `kind,items(name,size),a/b`. */
type Selection = Map<string, Selection | 'all'>

/** The parts of a resource that `fields` selects; all of it without. Of a list, the parts of each item. */
export function partial(value: unknown, fields: string | null): unknown {
  return fields === null || fields === '*' ? value : pick(value, parse(fields))
}

function pick(value: unknown, selection: Selection | 'all'): unknown {
  if (selection === 'all' || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(item => pick(item, selection))
  const picked: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value)) {
    const wanted = selection.get(name) ?? selection.get('*')
    if (wanted !== undefined) picked[name] = pick(inner, wanted)
  }
  return picked
}

function parse(fields: string): Selection {
  let at = 0

  function list(): Selection {
    const selection: Selection = new Map()
    for (;;) {
      const name = /^[^,()/]*/.exec(fields.slice(at))?.[0] ?? ''
      at += name.length
      selection.set(name.trim(), rest())
      if (fields[at] !== ',') return selection
      at++
    }
  }

  function rest(): Selection | 'all' {
    if (fields[at] === '/') {
      at++
      const name = /^[^,()/]*/.exec(fields.slice(at))?.[0] ?? ''
      at += name.length
      return new Map([[name.trim(), rest()]])
    }
    if (fields[at] !== '(') return 'all'
    at++
    const inner = list()
    if (fields[at] === ')') at++
    return inner
  }

  return list()
}
