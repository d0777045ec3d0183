// node pine_backtest.mjs PINETS_FOLDER BARS.json SCRIPT.pine: prints the closed trades of a Pine strategy as JSON.
import fs from 'fs';
import path from 'path';
import { pathToFileURL } from 'url';

const [folder, bars, script] = process.argv.slice(2);
const module = path.join(path.resolve(folder), 'node_modules', 'pinets', 'dist', 'pinets.min.es.js');
const { PineTS } = await import(pathToFileURL(module));
const context = await new PineTS(JSON.parse(fs.readFileSync(bars))).run(fs.readFileSync(script, 'utf8'));
console.log(JSON.stringify(context.strategy.closedtrades));
