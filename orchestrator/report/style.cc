// Colours of data after Okabe and Ito, which people with any colour blindness can tell apart; vermilion is kept for
// failures. In the dark they are lightened, on paper they are those of the light.
#include "orchestrator/report/style.h"

namespace overnight::report {

std::string_view style_sheet() {
  return R"(:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--text:#1a1f26;--dim:#5c6773;--rule:#dfe3e8;--grid:#e9ecf0;
--good:#00704f;--good-bg:#dff3ea;--bad:#b03a00;--bad-bg:#fde8dc;--warn:#7a5600;--warn-bg:#fff1cc;--info:#0b5c8f;--info-bg:#e0f0fa;
--c0:#0072b2;--c1:#e69f00;--c2:#009e73;--c3:#cc79a7;--c4:#56b4e9;--c5:#6a51a3;--cb:#7d8590;--fail:#d55e00;--track:#eef1f4;--mark:#f4f8fb}
@media (prefers-color-scheme:dark){:root{--page:#0f1318;--card:#181d24;--text:#e6e9ed;--dim:#9aa5b1;--rule:#2c343e;--grid:#262d36;
--good:#4fd1a1;--good-bg:#12382c;--bad:#ff9a66;--bad-bg:#43200f;--warn:#f2c14e;--warn-bg:#3b2f0b;--info:#7cc4f5;--info-bg:#10324a;
--c0:#4aa8e8;--c1:#f0b030;--c2:#2cc295;--c3:#e39ac2;--c4:#9ad4f7;--c5:#a894e0;--cb:#8d97a3;--fail:#ff7f3f;--track:#222932;--mark:#1d2733}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;
-webkit-text-size-adjust:100%;overflow-wrap:anywhere}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
header{margin-bottom:22px}
.eyebrow{color:var(--dim);margin:0 0 10px;font-size:14px}
h1{font-size:25px;line-height:1.32;margin:12px 0 10px;font-weight:650;letter-spacing:-.01em;text-wrap:pretty}
h2{font-size:17px;margin:0 0 12px;font-weight:650}
header h2{margin:16px 0 6px}
p{margin:0 0 8px}
.ending{color:var(--bad)}
.caveats{margin:8px 0 0;padding-left:20px;color:var(--dim)}
.badge{display:inline-block;padding:2px 11px;border-radius:99px;font-size:13px;font-weight:600}
.badge.good{color:var(--good);background:var(--good-bg)}.badge.bad{color:var(--bad);background:var(--bad-bg)}
.badge.warn{color:var(--warn);background:var(--warn-bg)}.badge.info{color:var(--info);background:var(--info-bg)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:12px;margin-bottom:16px}
.card,section{background:var(--card);border:1px solid var(--rule);border-radius:10px}
.card{padding:12px 16px}
.card p{margin:0}.card .name,.card .under{color:var(--dim);font-size:13px}
.card .value{font-size:20px;font-weight:650;font-variant-numeric:tabular-nums;line-height:1.4;white-space:nowrap}
section{padding:20px 22px;margin-bottom:16px}
.facts{margin:0;display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:4px 28px}
.facts div{display:grid;grid-template-columns:96px 1fr;gap:12px}
.facts dt{color:var(--dim)}.facts dd{margin:0}
code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{background:var(--track);border-radius:6px;padding:10px 12px;margin:6px 0;overflow-x:auto;max-height:420px;white-space:pre-wrap}
details summary{cursor:pointer;color:var(--info)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:6px 9px;vertical-align:top;border-bottom:1px solid var(--rule);font-weight:400}
thead th{color:var(--dim);font-size:13px;white-space:nowrap;border-bottom-color:var(--dim)}
th[scope=row]{white-space:nowrap}
tr:last-child>*{border-bottom:0}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.rank{font-weight:650}
tr.group th{color:var(--dim);font-size:13px;padding-top:14px;background:none}
tr.first>*{background:var(--mark)}tr.first td:nth-child(3){font-weight:650}
tr.reference>*{background:var(--track)}
.params{min-width:250px;width:40%}.who{white-space:nowrap}
.param{display:inline-block;margin-right:8px;color:var(--dim)}.param b{color:var(--text);font-weight:600}
.hypothesis{display:block;color:var(--dim);font-size:13px;font-style:italic}
.dim{color:var(--dim);font-size:13px}.bad{color:var(--bad)}.good-text{color:var(--good);white-space:nowrap}
.seeds{font-size:11px;color:var(--dim);white-space:normal;overflow-wrap:normal;min-width:84px}
.swatch{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:7px}
.notes td:nth-child(2){color:var(--dim)}
figure{margin:0 0 6px}
figcaption,.caption{color:var(--dim);font-size:13px;margin:8px 0 0}
svg{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.wide>svg{min-width:640px}
svg text{fill:var(--dim);font-variant-numeric:tabular-nums}svg .label{fill:var(--text)}svg .strong{fill:var(--text);font-weight:650}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:8px 0 0;font-size:13px;color:var(--dim)}
.legend li{display:flex;align-items:center;gap:6px}.legend svg{width:22px;height:12px;flex:none}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:12px 18px}
.panels.pairs{grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr))}
.meter{width:100%;min-width:120px;height:9px;border-radius:4px}.bar-cell{width:32%;vertical-align:middle}
.grid{stroke:var(--grid);stroke-width:1}
.band{fill:var(--cb);opacity:.17}.baseline{stroke:var(--cb);stroke-width:1.4;stroke-dasharray:5 4;fill:none}
.best{stroke:var(--text);stroke-width:1.6;fill:none}
.dot{opacity:.78}.dot.beyond{opacity:.45}
.dots{fill:none;stroke-width:5;stroke-linecap:round;opacity:.7}.dots.dense{stroke-width:3;opacity:.45}.dots.small{stroke-width:4.5;opacity:.55}
.diamond{fill:none;stroke-width:1.7}.diamond.filled{fill:var(--fillmark,var(--c2));stroke:var(--card);stroke-width:1}
.failed{stroke:var(--fail);stroke-width:1.5;fill:none}
.error{stroke:var(--text);stroke-width:1.6;fill:none}.champion{fill:var(--text);stroke:var(--card);stroke-width:1}
.track{fill:var(--track)}.used{fill:var(--c0)}.reserved{fill:var(--c4)}
.curve{fill:none;stroke-width:2}.dash1{stroke-dasharray:7 3}.dash2{stroke-dasharray:2 3}.dash3{stroke-dasharray:9 3 2 3}
.bars{stroke-width:16;fill:none}
.bar-search{fill:var(--c0);stroke:var(--c0)}.bar-baseline{fill:var(--cb);stroke:var(--cb)}.bar-confirm{fill:var(--c2);stroke:var(--c2)}
.bar-canary{fill:var(--c5);stroke:var(--c5)}.bar-failed{fill:var(--fail);stroke:var(--fail)}.bar-cut{fill:var(--c1);stroke:var(--c1)}
rect.bar{stroke:var(--card);stroke-width:.6}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}.fb{fill:var(--cb)}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}.sb{stroke:var(--cb)}.st{stroke:var(--text)}
.b0{background:var(--c0)}.b1{background:var(--c1)}.b2{background:var(--c2)}.b3{background:var(--c3)}.b4{background:var(--c4)}.b5{background:var(--c5)}.bb{background:var(--cb)}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
@media (max-width:640px){main{padding:18px 12px 40px}h1{font-size:20px}section{padding:16px 14px}.facts div{grid-template-columns:96px 1fr}.ranking{min-width:960px}
.cards{grid-template-columns:1fr 1fr}.card .value{font-size:17px}}
@media print{:root{color-scheme:light;--page:#fff;--card:#fff;--text:#000;--dim:#444;--rule:#bbb;--grid:#ddd;--track:#eee;--mark:#f3f3f3;
--good:#00704f;--good-bg:#fff;--bad:#b03a00;--bad-bg:#fff;--warn:#7a5600;--warn-bg:#fff;--info:#0b5c8f;--info-bg:#fff;
--c0:#0072b2;--c1:#e69f00;--c2:#009e73;--c3:#cc79a7;--c4:#56b4e9;--c5:#6a51a3;--cb:#7d8590;--fail:#d55e00}
body{font-size:11px}main{max-width:none;padding:0}section,.card{border-color:#bbb;break-inside:auto}figure,tr,.card{break-inside:avoid}
h2{break-after:avoid}table{font-size:10px}.wide{overflow:visible}.wide>svg{min-width:0}.badge{border:1px solid currentColor}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
)";
}

}  // namespace overnight::report
