// `@47ng/cloak` for Node.js, by its functions that do not wait, which are its fastest.
const { readFileSync } = require('node:fs')
const { encryptStringSync, decryptStringSync, generateKey, parseKeySync } = require('@47ng/cloak')

const FIELDS = ['name', 'phone', 'email', 'address', 'card_last4', 'national_id']
const key = parseKeySync(generateKey())

const through = change => text => {
  const record = JSON.parse(text)
  for (const field of FIELDS) record[field] = change(record[field], key)
  return JSON.stringify(record)
}

// What `work` makes of all records, and the median of how many of them it does in a second.
function rate(records, work) {
  let results
  const seconds = Array.from({ length: 7 }, () => {
    const start = process.hrtime.bigint()
    results = records.map(work)
    return Number(process.hrtime.bigint() - start) / 1e9
  }).sort((one, other) => one - other)
  return [results, records.length / seconds[3]]
}

const records = readFileSync(process.argv.at(-1), 'utf8').trim().split('\n')
const [stored, encrypted] = rate(records, through(encryptStringSync))
const [opened, decrypted] = rate(stored, through(decryptStringSync))
records.forEach((record, index) => {
  // Its numbers lose digits on the way, so only what was encrypted is held against what came back.
  const [before, after] = [record, opened[index]].map(text => JSON.parse(text))
  if (FIELDS.some(field => before[field] !== after[field])) throw new Error('a record came back otherwise')
})
if (stored.some(record => record.includes('Bishan'))) throw new Error('a record was stored in the clear')
console.log(`peer @47ng/cloak ${Math.round(encrypted)} ${Math.round(decrypted)}`)
