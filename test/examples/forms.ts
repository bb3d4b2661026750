/** Sends a form with one file in the field `photo`, as a browser does. */
export async function formWith(url: string, body: Buffer, name: string): Promise<Response> {
  const form = new FormData()
  form.set('photo', new Blob([Uint8Array.from(body)], { type: 'image/jpeg' }), name)
  return fetch(url, { method: 'POST', body: form })
}
